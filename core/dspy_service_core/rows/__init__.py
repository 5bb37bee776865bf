"""Rows of a dataset out of files, one reader for all who read them."""
