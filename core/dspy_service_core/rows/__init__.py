"""One reader of files of rows, used by all parts of the service."""
