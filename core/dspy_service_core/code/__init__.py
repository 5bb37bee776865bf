"""User code read without running it: signatures and metrics, within bounds."""
