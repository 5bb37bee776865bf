"""Fetches and checks the optimizer's inputs, and writes them to `/job/in`."""
