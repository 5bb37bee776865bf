"""A job's pod trusts the certificates that the operator of the service gives it: each library that it speaks TLS with,
in a process of its own, because they read the variables once.
"""

import http.server
import os
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

from dspy_service_operator.pod import volumes
from dspy_service_operator.settings import OperatorSettings

ASKED_BY = {
    "obstore, the store": "from dspy_service_core.storage.store import open_store; open_store('s3://bucket/x').get('key')",
    "httpx, datasets": "import httpx; httpx.get(url).raise_for_status()",
    "requests": "import requests; requests.get(url).raise_for_status()",
    "dspy's own client": """
import dspy
from dspy.utils.exceptions import LMServerError
try:
    dspy.LM("openai/x", api_base=url, api_key="k", num_retries=0, cache=False)("hi")
except LMServerError:  # it answers 501 to a POST, and so it was asked
    pass
""",
    "openai, and LiteLLM by it": "import openai; openai.OpenAI(api_key='k', base_url=url, max_retries=0).models.list()",
}


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def url(authority):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def variables(authority, tmp_path) -> dict[str, str]:
    """As the pod has them, with the bundle where the test can put it."""
    settings = OperatorSettings(ca_config_map="corporate-ca")
    bundle = tmp_path / settings.ca_key
    authority.cert_pem.write_to_path(str(bundle))
    entries = volumes.ca_environment(settings)
    assert {Path(entry["value"]).name for entry in entries} == {settings.ca_key}
    return {entry["name"]: str(bundle) for entry in entries}


def ask(code: str, url: str, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    bare = {name: value for name, value in os.environ.items() if "SSL" not in name and "CA_BUNDLE" not in name}
    store = {"AWS_ENDPOINT": url, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "here"}
    return subprocess.run(
        [sys.executable, "-c", f"url = {url!r}\n{code}"],
        env=bare | store | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("library", ASKED_BY)
def test_what_the_bundle_vouches_for_is_trusted_and_without_it_is_not(library, url, variables):
    assert ask(ASKED_BY[library], url, {}).returncode != 0
    trusting = ask(ASKED_BY[library], url, variables)
    assert trusting.returncode == 0, trusting.stderr
