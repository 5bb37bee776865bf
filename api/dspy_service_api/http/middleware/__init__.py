"""What every request passes before the application: its id and the log, then who may call, then the body's limit.

A page of a foreign site reaches what its user reaches, through the user's browser, with its own Origin, or (DNS
rebinding) with its own name in Host: `http/origins.py`. Where a token is asked for (`http/access/`), no browser sends
it by itself.
"""
