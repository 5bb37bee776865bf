"""The endpoints: each parses its parameters, calls the service and returns the encoded answer. FastAPI validates no
answer, since answers are bytes already."""
