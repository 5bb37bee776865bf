"""One attempt from its turn to its end."""
