"""Decides which job runs next, and when waiting jobs' positions are written down."""
