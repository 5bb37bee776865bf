"""The job's metric: what it is called with, what it may answer, and when it has failed too often."""
