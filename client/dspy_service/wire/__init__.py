"""Requests and answers without I/O: what is sent, what is read, when it is sent again."""
