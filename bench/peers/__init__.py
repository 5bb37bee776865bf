"""What the sections are measured against: the same work without the service."""
