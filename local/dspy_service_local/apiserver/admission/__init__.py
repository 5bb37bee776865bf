"""What may be stored: structural schemas, defaults, pruning, CEL rules."""
