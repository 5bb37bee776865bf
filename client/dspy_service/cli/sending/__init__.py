"""Commands that send a job, or say what sending it would do."""
