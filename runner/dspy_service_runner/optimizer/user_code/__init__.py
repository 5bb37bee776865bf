"""User code as modules, the program and the metric made of it, and what it prints."""
