"""Follows the files that the optimizer writes, checks and redacts their content, and stores it."""
