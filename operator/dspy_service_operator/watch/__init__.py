"""Watches the cluster with kopf, and keeps what it sees as a view for `reconcile`."""
