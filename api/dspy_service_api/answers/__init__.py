"""The answers of the HTTP API: their schemas, how they are built from records, a cache of them, and the error codes."""
