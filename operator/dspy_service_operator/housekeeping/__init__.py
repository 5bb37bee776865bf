"""Removes expired records, and leftovers of jobs in the cluster and in the store."""
