"""The reporter's part of the status of its job's resource, and the requests that write it."""
