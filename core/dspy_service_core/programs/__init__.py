"""Reads a user's program without running it: its class, what it takes, and the predictors that can be seen."""
