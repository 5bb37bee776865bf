"""What a job will call, said before it runs: ranges, each with the rule that it was made by."""
