"""Every `code` that the answer to an error can carry, with its HTTP status and what it means: clients rely on them.

A code keeps its meaning and is never taken away; new ones may come. `problems.py` says which error is answered with
which; the OpenAPI document and the table in `docs/api.md` are made from these declarations.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """`again`: a later try may succeed, so the answer has a Retry-After header."""

    code: str
    status: int
    meaning: str
    again: bool = False


MALFORMED_HTTP = ErrorCode("malformed_http", 400, "What was sent is no HTTP request.")
UNUSABLE_REQUEST = ErrorCode(
    "unusable_request",
    400,
    "The request is well-formed, and what it names cannot be used: `detail` names it, and what is allowed.",
)
RESOURCE_REFUSED = ErrorCode("resource_refused", 400, "The cluster takes no such job: its own rules refuse it.")
NO_TOKEN = ErrorCode("not_authenticated", 401, "A token is asked for: it is missing, or it is not accepted.")
FORBIDDEN = ErrorCode("forbidden", 403, "The caller is known, and the cluster's roles do not allow this to them.")
FOREIGN_HOST = ErrorCode("foreign_host", 403, "The request's Host is not this service's.")
FOREIGN_ORIGIN = ErrorCode("foreign_origin", 403, "A web page of another origin calls.")
CLOSED_ROUTE = ErrorCode("closed_route", 403, "A fault of the service: nothing says who may call this.")
UNKNOWN_JOB = ErrorCode("unknown_job", 404, "There is no such job (any more).")
NO_ARTIFACT = ErrorCode("no_artifact", 404, "The job has ended, and made no program.")
NO_PAYLOAD = ErrorCode(
    "no_payload", 404, "What was submitted of the job cannot be told: `detail` says where it lies, or that it is gone."
)
UNKNOWN_PATH = ErrorCode("unknown_path", 404, "The service has nothing under this path.")
WRONG_METHOD = ErrorCode("wrong_method", 405, "The path does not take this method; `Allow` lists those that it takes.")
REQUEST_TIMEOUT = ErrorCode("request_timeout", 408, "The request did not come in time.")
NOT_FINISHED = ErrorCode("not_finished", 409, "The job has not ended yet, so there is no artifact.")
NO_BEST_YET = ErrorCode(
    "no_best_yet", 409, "The job's search has scored no other program than the given one yet: ask again."
)
JOB_ENDED = ErrorCode(
    "job_ended", 409, "The job has ended, or is being cancelled, and cannot do this any more; `status` is its word."
)
IDEMPOTENCY_CONFLICT = ErrorCode("idempotency_conflict", 409, "The same Idempotency-Key came with another body.")
NAME_TAKEN = ErrorCode(
    "name_taken", 409, "Another job is called so: one that has not ended, or a resource made with kubectl."
)
BODY_TOO_LARGE = ErrorCode("body_too_large", 413, "The body is over the limit, which `detail` names.")
NOT_JSON = ErrorCode("not_json", 415, "The body is not JSON by its Content-Type.")
INVALID_REQUEST = ErrorCode("invalid_request", 422, "The request is malformed: `detail` lists what is wrong with it.")
HEADERS_TOO_LARGE = ErrorCode("headers_too_large", 431, "The request's headers are too large or too many.")
INTERNAL_ERROR = ErrorCode("internal_error", 500, "A fault of the service itself.")
BUSY = ErrorCode("busy", 503, "Other requests' bodies take all the memory that there is for them.", again=True)
CLUSTER_UNAVAILABLE = ErrorCode("cluster_unavailable", 503, "The cluster is out of reach.", again=True)
CLUSTER_REFUSED = ErrorCode(
    "cluster_refused", 503, "The cluster refuses: a quota, a policy, or a right that the service lacks.", again=True
)
STORE_UNAVAILABLE = ErrorCode(
    "store_unavailable", 503, "The store is out of reach, or holds something broken.", again=True
)
TOO_MANY_CONNECTIONS = ErrorCode(
    "too_many_connections",
    503,
    "The service has as many connections as it takes, in all or of one address.",
    again=True,
)
TOO_MANY_STREAMS = ErrorCode(
    "too_many_streams", 503, "As many streams are open as the service takes at a time.", again=True
)
SLOW_READER = ErrorCode(
    "slow_reader", 503, "A stream was read too slowly: only as the reason in its last event, `closed`.", again=True
)
TOO_MANY_AHEAD = ErrorCode(
    "too_many_ahead", 503, "Too many requests were sent ahead on one connection, before their answers.", again=True
)

ALL = tuple(found for found in tuple(vars().values()) if isinstance(found, ErrorCode))
