"""What confines a container, and whether this machine can."""
