"""Passes over jobs: when one is due, how it observes, decides and applies, and how errors are handled."""
