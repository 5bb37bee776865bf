"""What each family of DSPy's optimizers needs beyond the common way to run one; the optimizer's class decides."""
