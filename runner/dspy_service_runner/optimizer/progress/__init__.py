"""What the run tells while it goes on: progress, candidates, log, checkpoint."""
