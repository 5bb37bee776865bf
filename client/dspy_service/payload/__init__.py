"""The payload of `POST /run`, built from Python objects and files of rows."""
