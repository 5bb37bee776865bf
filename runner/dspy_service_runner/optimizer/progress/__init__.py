"""What a run reports while it goes on: progress, candidates, log, checkpoint."""
