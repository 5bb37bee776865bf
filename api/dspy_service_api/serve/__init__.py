"""The listening side, before anything of a request is known: who may hold a connection, how long, and how much of it.

listener.py     accepts, counts, hands over (TLS included)      crowd.py        who gives way when it is full
protocol.py     uvicorn's own parser and pauses, with bounds    limits.py       the bounds
descriptors.py  what the process may have open                  refusals.py     the answers, as bytes
server.py       uvicorn's server on this listener               beside.py       a few pages on a port of their own

uvicorn with httptools bounds nothing of a head, a trailer or a pause but the keep-alive time, and begins to count a TLS
connection when its handshake is over; h11 bounds a head's bytes alone, and takes several times as long.
"""
