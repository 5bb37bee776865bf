"""What the operator tells: Events on jobs, metrics, whether it lives."""
