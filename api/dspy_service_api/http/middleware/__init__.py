"""What every request passes before the application: request id and log, then access control, then the body's limit.

Through a user's browser, a page of another site can reach whatever the user can reach, with its own Origin, or, by DNS
rebinding, with its own name in Host; `http/origins.py` refuses both. A token (`http/access/`) is never sent by a
browser on its own."""
