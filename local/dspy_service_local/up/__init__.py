"""`dspy-service up`: all parts on one machine, started, kept running and stopped."""
