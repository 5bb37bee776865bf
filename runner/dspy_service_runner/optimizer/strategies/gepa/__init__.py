"""GEPA: its objects from JSON, its candidates, its reflections beside each other."""
