"""What clients may do to an existing job."""
