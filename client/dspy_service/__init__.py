"""Python client of dspy-service.

with Client() as client:
    job_id = client.submit(build_payload(signature=Route, metric=metric, rows=rows, ...)).job_id
    for update in client.watch(job_id):
        print(update.summary.status, update.summary.latest_metrics)
    client.download(job_id, "optimized-program")
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
"""What `__init__.pyi` names, each imported when it is first asked for: `dspy-service up` needs none of it."""
