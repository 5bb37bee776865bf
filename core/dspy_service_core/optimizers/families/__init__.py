"""One file a family of DSPy's optimizers, and what GEPA takes instead of Python objects."""
