"""`helm test`: a whole job through the HTTP API, with a model that this very pod serves: no key, no internet.

The model knows the answer only from examples in its prompt, so a job that ends with a better score has been through all
of it: token, admission, queue, pod, restored rows, model calls, reports, the store and the artifact.
"""

import json
import os
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
MODEL_PORT = 8080
PATIENCE_SECONDS = 240.0
FIRST_SECONDS = 30.0
"""The Service, its name and the test's own role are as young as this pod: each takes a while to be known everywhere."""
NOT_YET = (403, 503)
PAUSE_SECONDS = 1.0
"""Between two questions: whoever waits for a whole job does not notice, and the API has nothing to do."""
ROWS = {"alpha": "red", "bravo": "blue", "charlie": "green", "delta": "red", "echo": "blue", "foxtrot": "green"}

SIGNATURE = """
import dspy

class Colour(dspy.Signature):
    word: str = dspy.InputField()
    colour: str = dspy.OutputField()
"""
METRIC = """
def metric(gold, pred, trace=None):
    return gold.colour == pred.colour
"""


class Model(BaseHTTPRequestHandler):
    """Speaks as an OpenAI-compatible server; answers with the colour that an example in the prompt gives the word."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        colour = recalled([str(message["content"]) for message in request["messages"]])
        content = f"[[ ## colour ## ]]\n{colour}\n\n[[ ## completed ## ]]"
        answer = {
            "id": "smoke",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request["model"],
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}},
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def recalled(messages: list[str]) -> str:
    """The example is a question with the same word, and its answer the message after it."""
    word = word_of(messages[-1])
    for question, answer in pairwise(messages):
        if word_of(question) == word and "[[ ## colour ## ]]" in answer:
            return answer.partition("[[ ## colour ## ]]")[2].split()[0]
    return "unknown"


def word_of(question: str) -> str:
    return question.partition("[[ ## word ## ]]")[2].strip().partition("\n")[0]


def payload(model_url: str) -> dict[str, Any]:
    return {
        "module_name": "predict",
        "signature_code": SIGNATURE,
        "metric_code": METRIC,
        "optimizer_name": "dspy.LabeledFewShot",
        "optimizer_kwargs": {"k": len(ROWS)},
        "dataset": [{"word": word, "colour": colour} for word, colour in [*ROWS.items(), *ROWS.items()]],
        "column_mapping": {"inputs": {"word": "word"}, "outputs": {"colour": "colour"}},
        "split_fractions": {"train": 0.5, "val": 0.0, "test": 0.5},
        "shuffle": False,
        "model_config": {"name": "openai/smoke", "base_url": model_url},
        "run_options": {"labels": {"helm-test": "true"}},
    }


class Api:
    def __init__(self, url: str, headers: Mapping[str, str], context: ssl.SSLContext) -> None:
        self._url, self._headers, self._context = url, headers, context
        self._patient_until = time.monotonic() + FIRST_SECONDS

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {**self._headers, "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self._url}{path}", data=content, headers=headers, method=method)
        while True:
            try:
                with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:
                    text = answer.read()
                return json.loads(text) if text else None
            except urllib.error.HTTPError as error:
                if error.code not in NOT_YET or time.monotonic() > self._patient_until:
                    sys.exit(f"{method} {path}: {error.code} {error.read().decode()[:500]}")
            except urllib.error.URLError as error:
                if time.monotonic() > self._patient_until:
                    sys.exit(f"{method} {path}: {error.reason}")
            time.sleep(PAUSE_SECONDS)


def token() -> str:
    return os.environ.get("API_TOKEN") or TOKEN_FILE.read_text().strip()


def main() -> None:
    threading.Thread(target=ThreadingHTTPServer(("", MODEL_PORT), Model).serve_forever, daemon=True).start()
    context = ssl.create_default_context()
    if os.environ["API_URL"].startswith("https:"):
        # Inside the cluster the certificate's name is another: what is tested is the service, not the ingress.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    headers = {"Idempotency-Key": str(uuid.uuid4())}  # one job, however often it has to be asked for
    if os.environ["AUTH_MODE"] != "none":
        headers["Authorization"] = f"Bearer {token()}"
    api = Api(os.environ["API_URL"], headers, context)
    job_id = api.call("POST", "/run", payload(os.environ["MODEL_URL"]))["job_id"]
    print(f"submitted {job_id}", flush=True)
    try:
        job = ended(api, job_id)
        check(job, api.call("GET", f"/jobs/{job_id}/artifact"))
    finally:
        api.call("DELETE", f"/jobs/{job_id}")
    print("deleted it; the service works", flush=True)


def ended(api: Api, job_id: str) -> Any:
    until, seen = time.monotonic() + PATIENCE_SECONDS, ""
    while True:
        job = api.call("GET", f"/jobs/{job_id}/summary")
        if (told := f"{job['status']}: {job['message']}") != seen:
            print(seen := told, flush=True)
        if job["status"] in ("success", "failed", "cancelled"):
            return job
        if time.monotonic() > until:
            sys.exit(f"not finished within {PATIENCE_SECONDS:.0f} s")
        time.sleep(PAUSE_SECONDS)


def check(job: Any, artifact: Any) -> None:
    if job["status"] != "success":
        sys.exit("the job did not succeed")
    metrics = job["latest_metrics"]
    scores = metrics["baseline_test_metric"], metrics["optimized_test_metric"]
    print(f"baseline {scores[0]}, optimized {scores[1]}", flush=True)
    if scores != (0.0, 100.0):
        sys.exit("the scores should be 0 and 100")
    if not artifact["program_artifact"]["program_pickle_base64"]:
        sys.exit("the artifact is empty")


if __name__ == "__main__":
    main()
