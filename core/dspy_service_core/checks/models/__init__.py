"""Checks of the language models that a job names: names, endpoints, settings, and where credentials may be."""
