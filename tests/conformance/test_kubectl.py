"""kubectl, as people use it on our resources."""

import json
import re
from collections.abc import Callable

import pytest

from kube_http import KubeHttp, ok
from kubectl import Followed, Kubectl
from widgets import API_VERSION, collection, widget

pytestmark = pytest.mark.usefixtures("widgets")

_MANIFEST = f"""
apiVersion: {API_VERSION}
kind: Widget
metadata:
  name: a
  labels: {{team: x}}
spec:
  size: 3
  marks: {{one: "1", two: "2"}}
"""


def test_apply_creates_changes_and_removes(kubectl: Kubectl) -> None:
    assert "created" in kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    assert "unchanged" in kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    changed = _MANIFEST.replace(', two: "2"', ', three: "3"')
    assert "configured" in kubectl.run("apply", "-f", "-", stdin=changed)
    marks = json.loads(kubectl.run("get", "wdg", "a", "-o", "jsonpath={.spec.marks}"))
    assert marks == {"one": "1", "three": "3"}


def test_apply_refuses_typos_and_broken_rules(kubectl: Kubectl) -> None:
    typo = kubectl.run("apply", "-f", "-", stdin=_MANIFEST.replace("size: 3", "size: 3\n  sise: 4"), fails=True)
    assert 'unknown field "spec.sise"' in typo
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    broken = kubectl.run("apply", "-f", "-", stdin=_MANIFEST.replace("size: 3", "size: 4"), fails=True)
    assert "size is immutable" in broken


def test_server_side_apply_and_its_conflicts(kubectl: Kubectl) -> None:
    assert "serverside-applied" in kubectl.run("apply", "--server-side", "-f", "-", stdin=_MANIFEST)
    kubectl.run("patch", "wdg", "a", "--type=merge", "-p", '{"spec": {"marks": {"one": "patched"}}}')
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=_MANIFEST, fails=True)
    assert "conflict" in refused
    kubectl.run("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=_MANIFEST)
    assert kubectl.run("get", "wdg", "a", "-o", "jsonpath={.spec.marks.one}") == "1"


def test_diff_shows_what_apply_would_do(kubectl: Kubectl) -> None:
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    assert kubectl.run("diff", "-f", "-", stdin=_MANIFEST) == ""
    shown = kubectl.run("diff", "-f", "-", stdin=_MANIFEST.replace('one: "1"', 'one: "9"'), fails=True)
    assert '+    one: "9"' in shown


def test_get_prints_our_columns(kubectl: Kubectl) -> None:
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    header, row = kubectl.run("get", "wdg").strip().splitlines()
    assert header.split() == ["NAME", "SIZE", "READY", "AGE"]
    assert row.split()[:2] == ["a", "3"]
    wide = kubectl.run("get", "widgets", "-o", "wide").splitlines()[0]
    assert wide.split() == ["NAME", "SIZE", "READY", "NOTE", "AGE"]
    assert kubectl.run("get", "wdg", "-l", "team=y") == "", "no table, not even its header"
    assert kubectl.run("get", "wdg", "-o", "name").strip() == "widget.testing.dspy-service.io/a"


def test_get_watches(kubectl: Kubectl, follow: Callable[..., Followed], http: KubeHttp) -> None:
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    watching = follow("get", "wdg", "--watch")
    assert [line.split()[0] for line in watching.lines(2)] == ["NAME", "a"]
    ok(http.post(collection(kubectl.namespace), widget("b", size=9)))
    assert watching.lines(1)[0].split()[:2] == ["b", "9"]


def test_wait_sees_conditions_and_ends(kubectl: Kubectl, follow: Callable[..., Followed], http: KubeHttp) -> None:
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    waiting = follow("wait", "--for=condition=Ready", "wdg/a", "--timeout=30s")
    conditions = [{"type": "Ready", "status": "True"}]
    ok(http.patch(f"{collection(kubectl.namespace)}/a/status", {"status": {"conditions": conditions}}))
    assert "condition met" in waiting.lines(1)[0]
    ending = follow("wait", "--for=delete", "wdg/a", "--timeout=30s")
    kubectl.run("delete", "wdg", "a")
    assert ending.wait(timeout=30) == 0


def test_describe_shows_the_object_and_its_events(kubectl: Kubectl, http: KubeHttp) -> None:
    kubectl.run("apply", "-f", "-", stdin=_MANIFEST)
    made = ok(http.get(f"{collection(kubectl.namespace)}/a"))
    about = {"apiVersion": API_VERSION, "kind": "Widget", "name": "a", "namespace": kubectl.namespace}
    event = {
        "metadata": {"generateName": "event-"},
        "involvedObject": about | {"uid": made["metadata"]["uid"]},
        "reason": "Tested",
        "message": "seen by describe",
        "type": "Normal",
        "source": {"component": "tests"},
    }
    ok(http.post(f"/api/v1/namespaces/{kubectl.namespace}/events", event))
    described = kubectl.run("describe", "wdg", "a")
    assert re.search(r"Size:\s+3", described)
    assert "seen by describe" in described


def test_explain_reads_the_schema(kubectl: Kubectl) -> None:
    explained = kubectl.run("explain", "widget.spec")
    assert "What the widget is to be." in explained
    assert "-required-" in explained
    assert "How large it is." in kubectl.run("explain", "widget.spec.size")
    assert "nested" in kubectl.run("explain", "widget", "--recursive")


def test_create_replace_label_annotate_delete(kubectl: Kubectl) -> None:
    kubectl.run("create", "-f", "-", stdin=_MANIFEST)
    assert "AlreadyExists" in kubectl.run("create", "-f", "-", stdin=_MANIFEST, fails=True)
    kubectl.run("label", "wdg", "a", "stage=new")
    kubectl.run("annotate", "wdg", "a", "note=written")
    assert "a" in kubectl.run("get", "wdg", "-l", "stage=new", "-o", "name")
    assert "deleted" in kubectl.run("delete", "wdg", "--all")
    assert "NotFound" in kubectl.run("get", "wdg", "a", fails=True)


def test_secrets_and_config_maps_from_literals(kubectl: Kubectl) -> None:
    kubectl.run("create", "secret", "generic", "keys", "--from-literal=api-key=abc")
    assert kubectl.run("get", "secret", "keys", "-o", "jsonpath={.data.api-key}") == "YWJj"
    kubectl.run("label", "secret", "keys", "dspy-service.io/model-key=true")
    kubectl.run("create", "configmap", "rows", "--from-literal=rows.jsonl={}")
    assert "rows.jsonl" in kubectl.run("describe", "configmap", "rows")
    assert "keys" in kubectl.run("get", "secret,configmap")


def test_the_client_is_recognized(kubectl: Kubectl) -> None:
    assert kubectl.run("auth", "can-i", "create", "widgets.testing.dspy-service.io").strip() == "yes"
    assert "widgets" in kubectl.run("api-resources", "--api-group=testing.dspy-service.io")
    assert "Server Version" in kubectl.run("version")
