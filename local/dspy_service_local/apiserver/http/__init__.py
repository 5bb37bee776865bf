"""Requests of the Kubernetes API in, answers, streams and tables out."""
