"""Objects as rows of SQLite, and their changes for watchers."""
