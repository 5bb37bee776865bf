"""The server below the application: who may hold a connection, for how long, and how many bytes and how much memory.

listener.py     accepts connections, TLS handshakes included   crowd.py        who gives way when all seats are taken
protocol.py     uvicorn's HTTP protocol with bounds            limits.py       the bounds
descriptors.py  the limit of open files                        refusals.py     answers before there is a request
server.py       uvicorn's server on this listener              beside.py       metrics on a port of their own
memory.py       the memory of all request bodies together      tls.py          reloads the certificate
allocator.py    has glibc return freed memory

uvicorn with httptools bounds only the keep-alive time: no head, no trailer, no pause, and it counts a TLS connection
only after its handshake. h11 bounds the bytes of a head, and takes several times as long.
"""
