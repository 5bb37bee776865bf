"""Environments and volumes as a kubelet makes them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.kube.resources import CONFIG_MAPS, SECRETS
from dspy_service_local.node.pods.content.environment import References, Unresolved, expand, resolve
from dspy_service_local.node.pods.content.volumes import Volumes
from dspy_service_local.node.pods.model import Pod, read_pod
from dspy_service_local.node.quantities import parse_bytes, parse_quantity
from faulty_cluster import FaultyCluster, faulty_cluster
from node_host import FakeTokens, make_pod

Object = dict[str, Any]


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[FaultyCluster]:
    async with faulty_cluster(tmp_path / "cluster") as kube:
        kube.add(SECRETS, {"metadata": {"name": "s"}, "data": {"a": "QQ==", "b": "Qg=="}})
        kube.add(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"x": "X"}, "binaryData": {"y": "WQ=="}})
        kube.add(CONFIG_MAPS, {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "CA"}})
        yield kube


def pod(container: Object | None = None, **spec: Any) -> Pod:
    obj = make_pod([{"name": "main", "image": "i", **(container or {})}], name="p", **spec)
    obj["metadata"] |= {"uid": "u", "labels": {"l": "L"}}
    return read_pod(obj)


def ref(kind: str, name: str, key: str, **more: Any) -> Object:
    return {"name": "V", "valueFrom": {kind: {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ({"name": "V", "value": "plain"}, "plain"),
        ({"name": "V"}, ""),
        ({"name": "V", "value": "$(BASE)/x"}, "base/x"),
        ({"name": "V", "value": "$(UNKNOWN) $$(BASE) $5"}, "$(UNKNOWN) $(BASE) $5"),
        (ref("secretKeyRef", "s", "a"), "A"),
        (ref("configMapKeyRef", "c", "y"), "Y"),
        (ref("secretKeyRef", "none", "a", optional=True), None),
        (ref("secretKeyRef", "s", "none", optional=True), None),
        ({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}, "u"),
        ({"name": "V", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['l']"}}}, "L"),
    ],
)
async def test_values(kube: FaultyCluster, entry: Object, value: str | None) -> None:
    resolved = pod({"env": [entry]})
    env = await resolve(resolved, resolved.main[0], References(kube.client, "default"), {"BASE": "base"})
    assert env == {"BASE": "base"} | ({} if value is None else {"V": value})


async def test_env_from_comes_first_and_env_overrides(kube: FaultyCluster) -> None:
    sources = [{"secretRef": {"name": "s"}, "prefix": "S_"}, {"configMapRef": {"name": "c"}}]
    missing = {"secretRef": {"name": "none", "optional": True}}
    resolved = pod({"envFrom": [*sources, missing], "env": [{"name": "x", "value": "$(S_a)"}]})
    env = await resolve(resolved, resolved.main[0], References(kube.client, "default"), {})
    assert env == {"S_a": "A", "S_b": "B", "x": "A", "y": "Y"}


@pytest.mark.parametrize(
    "entry", [ref("secretKeyRef", "none", "a"), ref("secretKeyRef", "s", "none"), ref("resourceFieldRef", "s", "a")]
)
async def test_what_is_missing_is_named(kube: FaultyCluster, entry: Object) -> None:
    resolved = pod({"env": [entry]})
    with pytest.raises(Unresolved, match=r"none|resourceFieldRef") as caught:
        await resolve(resolved, resolved.main[0], References(kube.client, "default"), {})
    assert caught.value.reason == "CreateContainerConfigError"


def test_expansion_is_not_recursive() -> None:
    assert expand("$(A)", {"A": "$(B)", "B": "b"}) == "$(B)"


PROJECTED = {
    "projected": {
        "sources": [
            {"serviceAccountToken": {"path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    }
}


@pytest.mark.parametrize(
    ("source", "files"),
    [
        ({"emptyDir": {}}, {}),
        ({"secret": {"secretName": "s"}}, {"a": "A", "b": "B"}),
        ({"secret": {"secretName": "none", "optional": True}}, {}),
        ({"configMap": {"name": "c", "items": [{"key": "x", "path": "deep/er"}]}}, {"deep/er": "X"}),
        (PROJECTED, {"token": "token-of-u", "ca.crt": "CA", "namespace": "default"}),
    ],
)
async def test_volumes(kube: FaultyCluster, tmp_path: Path, source: Object, files: dict[str, str]) -> None:
    wanted = pod(volumes=[{"name": "v", **source}])
    volumes = Volumes(wanted, tmp_path / "pod", tmp_path / "claims", FakeTokens())
    await volumes.prepare(References(kube.client, "default"))
    folder = volumes.folder(wanted.volumes["v"])
    assert {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()} == files


@pytest.mark.parametrize(
    "source",
    [
        {"secret": {"secretName": "none"}},
        {"configMap": {"name": "c", "items": [{"key": "none", "path": "x"}]}},
        {"configMap": {"name": "c", "items": [{"key": "x", "path": "../x"}]}},
        {"hostPath": {"path": "/etc"}},
    ],
)
async def test_volumes_that_cannot_be_had(kube: FaultyCluster, tmp_path: Path, source: Object) -> None:
    volumes = Volumes(pod(volumes=[{"name": "v", **source}]), tmp_path / "pod", tmp_path / "claims", FakeTokens())
    with pytest.raises(Unresolved):
        await volumes.prepare(References(kube.client, "default"))


def claim_mount(sub_path: str) -> Object:
    return {"volumeMounts": [{"name": "v", "mountPath": "/store", "subPath": sub_path}]}


async def test_a_sub_path_is_made_inside_the_claim(kube: FaultyCluster, tmp_path: Path) -> None:
    wanted = pod(claim_mount("a/b"), volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "store"}}])
    volumes = Volumes(wanted, tmp_path / "pod", tmp_path / "claims", FakeTokens())
    await volumes.prepare(References(kube.client, "default"))
    source = volumes.source(wanted.main[0].mounts[0], {})
    assert (source, source.is_dir()) == (tmp_path / "claims" / "default" / "store" / "a" / "b", True)


@pytest.mark.parametrize("sub_path", ["../x", "/etc", "link/x"])
async def test_a_sub_path_does_not_lead_out(kube: FaultyCluster, tmp_path: Path, sub_path: str) -> None:
    wanted = pod(claim_mount(sub_path), volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "store"}}])
    volumes = Volumes(wanted, tmp_path / "pod", tmp_path / "claims", FakeTokens())
    await volumes.prepare(References(kube.client, "default"))
    (tmp_path / "claims" / "default" / "store" / "link").symlink_to("/etc")
    with pytest.raises(Unresolved):
        volumes.source(wanted.main[0].mounts[0], {})


@pytest.mark.parametrize(
    ("text", "value"), [("2Gi", 2 * 1024**3), ("500M", 500_000_000), ("1e3", 1000), (7, 7), ("1.5Ki", 1536)]
)
def test_quantities_of_bytes(text: str | int, value: int) -> None:
    assert parse_bytes(text) == value


def test_other_quantities() -> None:
    assert float(parse_quantity("250m")) == 0.25
    with pytest.raises(ValueError, match="not a quantity"):
        parse_quantity("2 GB")
