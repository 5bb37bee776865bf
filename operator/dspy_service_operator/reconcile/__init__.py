"""One pass over one job: observe, decide, apply; when it is due, and what becomes of errors."""
