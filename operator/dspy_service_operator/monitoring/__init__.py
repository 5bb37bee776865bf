"""How the operator is monitored: Events on jobs, metrics, the liveness probe."""
