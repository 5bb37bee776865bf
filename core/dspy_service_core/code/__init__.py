"""Reads users' source of signatures and metrics without running it, at a bounded cost."""
