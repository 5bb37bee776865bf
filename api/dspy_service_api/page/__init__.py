"""The web page: the HTTP contract's answers as HTML, for whoever opens the service's address in a browser.

It is another client of the API, in the same process: everything that it shows it has asked of `contract.py` with the
visitor's own token, so that it can show and do nothing that they may not. It knows answers, and nothing of resources,
the cluster or the store.

contract.py    asks the application's own JSON endpoints
session.py     the sealed cookie, and the token of every form
visit.py       one request of a browser: who it is, what it may be answered
static.py      style, scripts, and what is vendored, by their digests
handlers/      a page or an action each
views/         what templates need, made of answers. Pure
"""
