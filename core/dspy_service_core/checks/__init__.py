"""Checks a job's spec before the job runs, and refuses what is certain to fail."""
