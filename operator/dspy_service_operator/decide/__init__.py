"""Decides what to do about one job, given what was observed. Pure."""
