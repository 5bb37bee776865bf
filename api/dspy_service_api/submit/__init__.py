"""Turns the body of `POST /run` into a job: parses and checks it, makes the job's objects, and writes them."""
