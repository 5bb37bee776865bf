"""Elects which of several replicas acts."""
