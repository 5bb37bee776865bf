"""The Kubernetes API as api, operator and the embedded node use it: plain dicts at the edge, typed errors.

Written by hand because the official asynchronous client costs every process that imports it about 40 MB and 0.9 s,
and because no client library measured keeps a correct list+watch over custom resources (see `reflector`).

There is one client (`client`), which alone knows what a request means. Below it are transports of one method, as httpx
has them: over HTTP (`http_transport`), straight into the embedded API server, or a test's own with faults in it.
"""
