"""The batch/v1 Job of an attempt: containers, volumes, keys."""
