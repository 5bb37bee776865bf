"""Copies the optimized program and the checkpoint into the store, file by file."""
