"""What clients may do to a job that there is."""
