"""The answers of the HTTP API, each field declared once.

The presenting (`present.py`, `problems.py`) builds plain dicts that a type checker holds to these declarations, so they
cost a request nothing. The OpenAPI document is made from them when it is asked for; its examples are answers that were
presented (`routes/examples.py`), and the tests hold every answer that they get to it.

    components -> jobs, service, errors -> results, transcripts -> submits -> shapes
"""
