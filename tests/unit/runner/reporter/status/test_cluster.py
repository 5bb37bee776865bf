"""The reporter's own resource, as deep as a server stores it: its `spec` cannot be, but whoever may write it tries."""

import httpx
import pytest

from deep_json import DEPTHS, nested
from dspy_service_runner.reporter.status.own_resource import OwnResource

HEAD = b'{"metadata":{"name":"a"},"status":{"attempt":{"podUID":"pod-1"}},"spec":'


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_resource_of_any_depth_is_read_and_reported_to(tmp_path, depth):
    token = tmp_path / "token"
    token.write_text("t")
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=HEAD + nested(depth) + b"}"))
    with httpx.Client(base_url="http://api", transport=transport) as client:
        own = OwnResource(client, token, "default", "a", "pod-1")
        assert own.current(own.get())["metadata"] == {"name": "a"}
        assert own.patch_run({"stage": "Running"})["metadata"] == {"name": "a"}
