"""Runs user code as modules, makes the program and the metric of it, and captures what it prints."""
