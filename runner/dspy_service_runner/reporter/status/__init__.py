"""The reporter's part of the resource's status, and the requests that write it."""
