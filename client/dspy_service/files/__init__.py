"""What the client keeps on disk: downloaded programs, and what it remembers between two commands."""
