"""What DSPy's optimizers ask for one after the other although nothing of it needs the answer before: side by side."""
