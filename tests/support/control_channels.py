"""cancel, stop, pause and resume by each way in which somebody gives them: HTTP, Python, the command line, kubectl."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from dspy_service import Client, JobEnded
from kubectl import Kubectl
from under_test import Service

Verb = Literal["cancel", "stop", "pause", "resume"]
Channel = Literal["HTTP", "Python", "command line", "kubectl"]
VERBS: tuple[Verb, ...] = get_args(Verb)
CHANNELS: tuple[Channel, ...] = get_args(Channel)
_FIELDS: Mapping[Verb, Mapping[str, Any]] = {
    "cancel": {"stop": "Cancel"},
    "stop": {"stop": "KeepBest", "suspend": False},
    "pause": {"suspend": True},
    "resume": {"suspend": False},
}
"""What docs/resource.md tells people to patch."""
_JOB_ENDED = 409


@dataclass(frozen=True)
class Channels:
    """`give` returns whether the verb was taken; whoever asks for what a job that has ended cannot do is told so, but
    for kubectl: the fields may be set, and mean nothing any more."""

    service: Service
    kubectl: Kubectl

    def give(self, verb: Verb, job_id: str, channel: Channel) -> bool:
        match channel:
            case "HTTP":
                return self._http(verb, job_id)
            case "Python":
                return self._python(verb, job_id)
            case "command line":
                return self._command(verb, job_id)
            case "kubectl":
                patch = json.dumps({"spec": _FIELDS[verb]})
                self.kubectl.run("patch", "oj", f"job-{job_id}", "--type=merge", "-p", patch)
                return True

    def _http(self, verb: Verb, job_id: str) -> bool:
        answer = self.service.http.post(f"/jobs/{job_id}/{verb}")
        if answer.status_code == _JOB_ENDED:
            assert answer.json()["code"] == "job_ended", answer.text
            return False
        assert answer.status_code == 202, answer.text
        return True

    def _python(self, verb: Verb, job_id: str) -> bool:
        with Client(self.service.url, self.service.token or None) as client:
            try:
                getattr(client, verb)(job_id)
            except JobEnded:
                return False
        return True

    def _command(self, verb: Verb, job_id: str) -> bool:
        command = [str(Path(sys.executable).parent / "dspy-service"), verb, job_id]
        settings = {"DSPY_SERVICE_URL": self.service.url}
        if self.service.token:
            settings["DSPY_SERVICE_TOKEN"] = self.service.token
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 or "The job has ended" in done.stderr, done.stdout + done.stderr
        return done.returncode == 0
