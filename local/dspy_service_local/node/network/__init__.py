"""A container's own network: what it reaches, and how."""
