"""What one job costs the API server, counted from its audit log: a real API server and controllers; our operator, API,
reporter and optimizer as processes.

Each job brings a model key of its own, which costs a Secret: the dearest kind. What is left out of the writes is what
is not a job's own (leases), Events, and the reporters' patches, which are progress but for two: `Running`, the result.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from audited_service import API, OPERATOR, RUNNER, audited_service
from measuring.audit import Request, requests
from measuring.figures import Figure
from measuring.follow import Client
from payloads import DATASET, payload
from whole_service import model_server

JOBS, AT_ONCE = 10, 2
ROWS = 30
SETTLE_SECONDS = 5.0
"""Until pods have ended and what follows from that is done."""


def measure() -> list[Figure]:
    with model_server(DATASET) as model, audited_service() as service:
        time.sleep(SETTLE_SECONDS)
        since, client, body = service.audit_log.stat().st_size, Client(service.url), payload(ROWS, model)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(client.follow, [body] * JOBS))
        time.sleep(SETTLE_SECONDS)
        asked = Counter(r for r in requests(service.audit_log, since) if r.user in {API, OPERATOR, RUNNER})
    for request, count in sorted(asked.items(), key=lambda item: str(item[0])):
        print(f"{count / JOBS:5.1f} a job: {request.user} {request.verb} {request.kind}")
    ours = {API, OPERATOR}
    return [
        _figure("writes a job, operator and API", asked, lambda r: r.writes and r.user in ours, 8),
        _figure("Events a job", asked, lambda r: r.kind == "events", 8),
        _figure("gets and lists a job", asked, lambda r: r.verb in {"get", "list"}, 3),
    ]


def _figure(what: str, asked: Counter[Request], counts: Callable[[Request], bool], most: float) -> Figure:
    return Figure(what, sum(count for request, count in asked.items() if counts(request)) / JOBS, "", most=most)
