"""What kopf sees of the cluster, kept as a view that `reconcile` looks at."""
