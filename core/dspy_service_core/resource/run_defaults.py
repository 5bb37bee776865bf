"""What a job's run gets where nobody says otherwise, and the most that it may ask for.

The HTTP API writes the defaults into the resources that it makes, the operator takes them for resources that name none,
and both let whoever runs the service set others; the limits are those of a request and of a resource alike.
"""

RETRIES = 2
DEADLINE_SECONDS = 24 * 60 * 60
TTL_SECONDS = 7 * 24 * 60 * 60

MOST_RETRIES = 10
LONGEST_DEADLINE_SECONDS = 30 * 24 * 60 * 60
LONGEST_TTL_SECONDS = 365 * 24 * 60 * 60
