"""When a call may be made: how many at once, how long a limit is waited for, and which calls are made twice."""
