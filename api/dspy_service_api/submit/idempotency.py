"""The digest that tells whether a repeated `Idempotency-Key` came with the same body. Pure.

It is kept in the resource, which more people may read than may read the job's Secret. From a plain digest they could
guess a weak password in the body, since they know the rest of it; so a body with credentials gets a deliberately slow
digest, salted with the job's id. It depends on no key of the service, so that all replicas compute the same one.
"""

import hashlib
import re
from typing import Any

import orjson

from dspy_service_core.contract.request_size import Body
from dspy_service_core.errors import FieldProblem, InvalidRequest

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_WHOLE_FLOAT = re.compile(rb"\.0|[eE]")
"""What every whole float of a JSON text has; most texts without one have it too."""
_EXACT = 2**53
_SLOW = "scrypt:"
_SCRYPT_COST, _SCRYPT_BLOCK, _SCRYPT_PARALLEL = 2**13, 8, 1


def checked_key(given: str | None) -> str | None:
    if given is None or _KEY.fullmatch(given):
        return given
    problem = FieldProblem(HEADER, "takes 1 to 255 visible ASCII characters", "invalid_header")
    raise InvalidRequest([problem])


def digest(body: Body, job_id: str, *, holds_credentials: bool) -> str:
    """The digest is equal for bodies that are equal as parsed JSON."""
    canonical = canonical_json(body)
    if not holds_credentials:
        return f"sha256:{hashlib.sha256(canonical).hexdigest()}"
    slow = hashlib.scrypt(
        canonical, salt=job_id.encode(), n=_SCRYPT_COST, r=_SCRYPT_BLOCK, p=_SCRYPT_PARALLEL, dklen=32
    )
    return f"{_SLOW}{slow.hex()}"


def is_slow(kept: str) -> bool:
    """Whether that digest is of a body with credentials."""
    return kept.startswith(_SLOW)


def canonical_json(body: Body) -> bytes:
    value = orjson.loads(body)
    return orjson.dumps(_whole(value) if _WHOLE_FLOAT.search(body) else value, option=orjson.OPT_SORT_KEYS)


def _whole(value: Any) -> Any:
    """Writes whole floats as integers, because 1.0 and 1 are the same JSON number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
