"""Load, clients, stored jobs and figures, for the sections."""
