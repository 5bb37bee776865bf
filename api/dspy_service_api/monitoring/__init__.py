"""How the API is monitored: its metrics and its log."""
