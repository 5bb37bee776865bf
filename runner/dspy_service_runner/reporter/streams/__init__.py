"""What the optimizer writes, on its way into the store: followed, checked, made harmless."""
