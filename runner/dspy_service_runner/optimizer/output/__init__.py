"""What the run leaves: the program in its forms, its prompts, the result."""
