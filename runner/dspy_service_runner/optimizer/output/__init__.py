"""What a run leaves behind: the program in its forms, its prompts, the result."""
