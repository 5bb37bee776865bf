"""The answers of the HTTP API: their declaration, what makes them of records, what keeps them, the codes of errors."""
