"""What can be known of a job to fail before it runs, by one check of its spec."""
