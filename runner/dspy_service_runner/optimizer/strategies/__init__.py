"""What each family of DSPy's optimizers needs beyond the common way: one file a family, found by class."""
