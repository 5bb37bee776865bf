"""Defaults and limits of a job's retries, deadline, TTL and threads.

The HTTP API writes the defaults into the resources that it makes, and the operator uses them for resources without the
fields; settings can replace them in both. The limits are the same for requests and for resources.
"""

RETRIES = 2
DEADLINE_SECONDS = 24 * 60 * 60
TTL_SECONDS = 7 * 24 * 60 * 60
MAX_FAILED_ROWS = "0.2"
"""Share of a score's rows."""
MOST_THREADS = 64
"""Model calls of one job that may be under way at once."""

MOST_RETRIES = 10
LONGEST_DEADLINE_SECONDS = 30 * 24 * 60 * 60
LONGEST_TTL_SECONDS = 365 * 24 * 60 * 60
HIGHEST_THREADS = 100
"""DSPy's own client opens no more connections at once."""
