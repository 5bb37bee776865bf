"""The code of one job looks around in its container, and tells in its log what it could see, change and reach."""

import ast
import base64
import re
from typing import Any

import pytest

from cluster_jobs import ClusterJobs, metric, spread
from installed_service import InstalledService
from kubectl import Kubectl
from under_test import Model
from whole_jobs import ended as http_ended

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

PROBES = r"""
import base64, ctypes, glob, json, os, pathlib, re, ssl, sys, urllib.error, urllib.request
if not vars(sys).setdefault('looked', []):
    sys.looked.append(1)
    def tell(word, value): print('FOUND', word, repr(value), flush=True)
    def text(path):
        try: return open(path, errors='replace').read(1_000_000)
        except OSError: return ''
    def writes(folder):
        path = os.path.join(folder, 'probe')
        try: open(path, 'w').close()
        except OSError: return False
        os.unlink(path)
        return True
    def asks(url, token=''):
        request = urllib.request.Request(url, headers={'Authorization': 'Bearer ' + token} if token else {})
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try: return urllib.request.urlopen(request, timeout=5, context=context).status
        except urllib.error.HTTPError as answer: return answer.code
        except OSError as error: return type(error).__name__
    def refused(call, *arguments):
        libc = ctypes.CDLL(None, use_errno=True)
        return getattr(libc, call)(*arguments) == -1
    status = dict(line.split(':', 1) for line in text('/proc/self/status').splitlines() if ':' in line)
    tell('status', {k: status[k].split() for k in ('Uid', 'Gid', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp')})
    tell('refused', [refused('setuid', 0), refused('unshare', 0x10000000), refused('chroot', b'/tmp')])
    mounts = [line.split() for line in text('/proc/self/mountinfo').splitlines()]
    tell('mounts', sorted(fields[4] for fields in mounts))
    places = ['/var/run', '/run', '/job', '/tmp', '/etc', '/store', '/home', '/root', '/var/lib']
    files = [p for place in places for p in glob.glob(place + '/**', recursive=True) if os.path.isfile(p)]
    told = [text(p) for p in files] + [text(p) for p in glob.glob('/proc/[0-9]*/environ')] + list(os.environ.values())
    tokens = sorted({found for each in told for found in re.findall(r'eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+', each)})
    tell('tokens', tokens)
    tell('accounts', [p for p in files if 'serviceaccount' in p])
    tell('environment', sorted(os.environ))
    tell('canaries', [n for n, each in enumerate(told) if any(c[::-1] in each for c in CANARIES)])
    folders = ['/', '/usr', '/etc', '/job', '/job/in', '/dev', '/var', sys.prefix, os.path.dirname(os.__file__)]
    tell('written', [f for f in folders if writes(f)])
    tell('own', [f for f in ('/job/out', '/tmp') if writes(f)])
    tell('commands', [text(p).replace('\0', ' ') for p in glob.glob('/proc/[0-9]*/cmdline')])
    tell('jobs', sorted({p for p in files if p.startswith('/job')}))
    host = 'https://' + os.environ.get('KUBERNETES_SERVICE_HOST', 'kubernetes.default.svc')
    paths = ['/api/v1/namespaces/NAMESPACE/secrets', '/api/v1/namespaces/NAMESPACE/pods', '/api/v1/nodes',
             '/apis/dspy-service.io/v1alpha1/namespaces/NAMESPACE/optimizationjobs']
    tell('cluster', {path: [asks(host + path, token) for token in ['', *tokens]] for path in paths})
    tell('kubelet', asks('https://NODE:10250/pods'))
    tell('service', asks('http://SERVICE.NAMESPACE.svc/jobs'))
"""


@pytest.fixture(scope="module")
def canaries(service: InstalledService, kubectl: Kubectl) -> list[str]:
    """What the store's Secret holds, where there is one; the keys of other jobs' models."""
    secrets = [secret for secret in kubectl.json("secrets")["items"] if secret["type"] == "Opaque"]
    values = [value for secret in secrets for value in (secret.get("data") or {}).values()]
    return [text for value in values if len(text := base64.b64decode(value).decode(errors="replace")) > 5]


@pytest.fixture(scope="module")
def found(
    service: InstalledService, jobs: ClusterJobs, model: Model, kubectl: Kubectl, canaries: list[str]
) -> dict[str, Any]:
    """What it told, by word."""
    other = jobs.create(spread(model, 40))
    jobs.ended(other)
    backwards = [value[::-1] for value in canaries]  # else the code would find itself
    code = PROBES.strip().replace("CANARIES", repr(backwards)).replace("NAMESPACE", service.namespace)
    code = code.replace("SERVICE", service.name).replace("NODE", node_address(kubectl))
    name = jobs.create(spread(model, 40, metric=metric(code)))
    ended = jobs.ended(name)
    assert ended["phase"] == "Succeeded", ended["message"]
    lines = [entry["message"] for entry in http_ended(service.http, name)["logs"]]
    matches = [re.fullmatch(r"FOUND (\w+) (.*)", line) for line in lines]
    told = {match[1]: ast.literal_eval(match[2]) for match in matches if match}
    for each in (other, name):
        jobs.remove(each)
    return told


def node_address(kubectl: Kubectl) -> str:
    addresses = kubectl.json("nodes")["items"][0]["status"]["addresses"]
    return str(next(a["address"] for a in addresses if a["type"] == "InternalIP"))


def test_it_has_no_privileges_and_gains_none(found: dict[str, Any]) -> None:
    status = found["status"]
    assert status["Uid"] == ["65532"] * 4
    assert status["Gid"] == ["65532"] * 4
    assert (status["CapEff"], status["CapBnd"]) == (["0" * 16], ["0" * 16])
    assert (status["NoNewPrivs"], status["Seccomp"]) == (["1"], ["2"])
    assert found["refused"] == [True, True, True]


def test_it_holds_no_token(found: dict[str, Any]) -> None:
    assert (found["tokens"], found["accounts"]) == ([], [])


def test_it_holds_no_credential_of_the_store_and_no_key_of_others(found: dict[str, Any], canaries: list[str]) -> None:
    assert found["canaries"] == []
    assert not [name for name in found["environment"] if name.startswith(("AWS_", "GOOGLE_", "AZURE_"))]


def test_it_sees_no_other_jobs_files(found: dict[str, Any]) -> None:
    assert not [mount for mount in found["mounts"] if "store" in mount]
    volumes = {mount for mount in found["mounts"] if mount.startswith(("/job", "/tmp", "/var", "/run"))}
    assert volumes <= {"/job/in", "/job/out", "/tmp"}, found["mounts"]
    assert {path.split("/")[2] for path in found["jobs"]} <= {"in", "out"}


def test_it_sees_no_other_process(found: dict[str, Any]) -> None:
    assert all("dspy-service-optimizer" in command or not command for command in found["commands"]), found["commands"]


def test_it_writes_nowhere_but_in_its_volumes(found: dict[str, Any]) -> None:
    assert found["written"] == []
    assert found["own"] == ["/job/out", "/tmp"], "the probe could not have told"


def test_the_api_server_tells_it_nothing(found: dict[str, Any]) -> None:
    """It may be reached where nothing enforces the NetworkPolicy, but not with any credential that can be found."""
    answers = [answer for answers in found["cluster"].values() for answer in answers]
    assert answers
    assert set(answers) <= {401, 403, "URLError", "TimeoutError"}, found["cluster"]
    assert found["kubelet"] in (401, 403, "URLError", "TimeoutError")


def test_the_services_own_api_asks_it_for_a_token(found: dict[str, Any]) -> None:
    assert found["service"] in (401, 403, "URLError", "TimeoutError")
