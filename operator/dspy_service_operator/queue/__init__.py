"""Who may run next, and telling those that wait of their places."""
