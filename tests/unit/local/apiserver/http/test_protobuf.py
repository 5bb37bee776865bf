"""The reader of kubectl's protobuf, against messages made here as kubectl makes them."""

import pytest

from dspy_service_core.kube.errors import BadRequest, KubeError
from dspy_service_local.apiserver.http.protobuf import decode


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


def _bytes(number: int, value: bytes | str) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _entry(number: int, key: str, value: bytes) -> bytes:
    return _bytes(number, _bytes(1, key) + _bytes(2, value))


def _envelope(api_version: str, kind: str, raw: bytes) -> bytes:
    return (
        b"k8s\x00"
        + _bytes(1, _bytes(1, api_version) + _bytes(2, kind))
        + _bytes(2, raw)
        + _bytes(3, "")
        + _bytes(4, "")
    )


def test_a_secret() -> None:
    metadata = _bytes(1, "keys") + _bytes(2, "") + _entry(11, "team", b"x") + _bytes(8, _varint(1 << 3) + _varint(0))
    raw = _bytes(1, metadata) + _entry(2, "api-key", b"\xff" * 200) + _bytes(3, "Opaque") + _varint(5 << 3) + _varint(1)
    secret = decode(_envelope("v1", "Secret", raw))
    assert (secret["apiVersion"], secret["kind"], secret["type"], secret["immutable"]) == (
        "v1",
        "Secret",
        "Opaque",
        True,
    )
    assert secret["metadata"] == {"name": "keys", "labels": {"team": "x"}}
    assert secret["data"]["api-key"].startswith("////")


def test_a_review() -> None:
    attributes = _bytes(1, "default") + _bytes(2, "list") + _bytes(5, "pods")
    review = decode(_envelope("authorization.k8s.io/v1", "SelfSubjectAccessReview", _bytes(2, _bytes(1, attributes))))
    assert review["spec"]["resourceAttributes"] == {"namespace": "default", "verb": "list", "resource": "pods"}


def test_kinds_that_are_not_read_are_said_to_be() -> None:
    with pytest.raises(KubeError) as refusal:
        decode(_envelope("v1", "Pod", b""))
    assert refusal.value.status["code"] == 415


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"k8s\x00", b"k8s\x00\xff", b"k8s\x00" + _bytes(1, "x")[:-1], b"k8s\x00\x0d1234"]
)
def test_what_is_no_protobuf_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode(body)
