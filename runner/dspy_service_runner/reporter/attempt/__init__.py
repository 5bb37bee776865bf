"""One attempt, from waiting for its turn to its end."""
