"""What to do about one job, from what was observed: pure, a rule a file."""
