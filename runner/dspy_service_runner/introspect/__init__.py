"""The catalogue of what DSPy's classes take, written for core."""
