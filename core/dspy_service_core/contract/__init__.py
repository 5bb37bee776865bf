"""Reads the body of `POST /run`: limits its size, parses it and checks its shape."""
