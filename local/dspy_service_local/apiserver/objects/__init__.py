"""The verbs on objects and what they mean: metadata, updates, patches, apply, deletion, selection."""
