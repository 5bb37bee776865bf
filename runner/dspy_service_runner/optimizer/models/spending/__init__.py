"""What calls took, what it costs, and whether the budget has room for one more."""
