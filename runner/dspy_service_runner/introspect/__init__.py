"""Writes the catalogue of the arguments that DSPy's classes take; core ships it, for the API's checks."""
