"""A pod's life on the node: volumes, containers, probes, logs, status, removal."""
