"""A container's environment as the kubelet resolves it: envFrom, then env in order, with $(VAR) references.

What is not there yet (a Secret that is still to be made) raises `Unresolved`: the container waits and is tried again.
"""

import base64
import re
from collections.abc import Awaitable, Callable, Mapping

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import NotFound
from dspy_service_core.kube.resources import CONFIG_MAPS, SECRETS, Resource
from dspy_service_local.node.pods.model import Container, Object, Pod

_REFERENCE = re.compile(r"\$(\$|\(([-._a-zA-Z][-._a-zA-Z0-9]*)\))")
Data = dict[str, bytes]

NODE_NAME = "local"


class Unresolved(Exception):
    """Something that the pod refers to is missing; `reason` is the waiting reason that the kubelet shows."""

    def __init__(self, message: str, reason: str = "CreateContainerConfigError") -> None:
        super().__init__(message)
        self.reason = reason


class References:
    """The ConfigMaps and Secrets of one pod, each fetched once a resolution."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._known: dict[tuple[str, str], Data | None] = {}

    async def secret(self, name: str) -> Data | None:
        return await self._fetch(SECRETS, name, _secret_data)

    async def config_map(self, name: str) -> Data | None:
        return await self._fetch(CONFIG_MAPS, name, _config_map_data)

    async def _fetch(self, resource: Resource, name: str, read: Callable[[Object], Data]) -> Data | None:
        key = (resource.plural, name)
        if key not in self._known:
            try:
                self._known[key] = read(await self._client.get(resource, name, self._namespace))
            except NotFound:
                self._known[key] = None
        return self._known[key]


async def resolve(pod: Pod, container: Container, references: References, base: Mapping[str, str]) -> dict[str, str]:
    """`base` is what the image would set (PATH, ...) and what the kubelet adds (KUBERNETES_SERVICE_HOST, ...)."""
    env = dict(base)
    for source in container.env_from:
        env |= await _env_from(source, references)
    for entry in container.env:
        value = await _value(pod, entry, env, references)
        if value is not None:
            env[entry["name"]] = value
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """$(VAR) of a known variable is replaced, of an unknown one kept; $$ is a literal dollar."""

    def replacement(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return env.get(match[2], match[0])

    return _REFERENCE.sub(replacement, text)


async def _env_from(source: Object, references: References) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if "secretRef" in source:
        data = await _whole("secret", source["secretRef"], references.secret)
    else:
        data = await _whole("configmap", source["configMapRef"], references.config_map)
    return {prefix + key: value.decode(errors="replace") for key, value in data.items()}


async def _whole(kind: str, ref: Object, fetch: Callable[[str], Awaitable[Data | None]]) -> Data:
    data = await fetch(ref["name"])
    if data is None and not ref.get("optional"):
        raise Unresolved(f'{kind} "{ref["name"]}" not found')
    return data or {}


async def _value(pod: Pod, entry: Object, env: Mapping[str, str], references: References) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        return expand(entry.get("value") or "", env)
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    if "secretKeyRef" in source:
        return await _key("secret", source["secretKeyRef"], references.secret)
    if "configMapKeyRef" in source:
        return await _key("configmap", source["configMapKeyRef"], references.config_map)
    raise Unresolved(f"{entry['name']}: this node does not know {', '.join(source)}")


async def _key(kind: str, ref: Object, fetch: Callable[[str], Awaitable[Data | None]]) -> str | None:
    data = await fetch(ref["name"])
    if data is not None and ref["key"] in data:
        return data[ref["key"]].decode(errors="replace")
    if ref.get("optional"):
        return None
    if data is None:
        raise Unresolved(f'{kind} "{ref["name"]}" not found')
    raise Unresolved(f"couldn't find key {ref['key']} in {kind} {ref['name']}")


def field(pod: Pod, path: str) -> str:
    """The downward API's fields."""
    if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.*)'\]", path):
        return str((pod.metadata.get(match[1]) or {}).get(match[2], ""))
    fields = {
        "metadata.name": pod.name,
        "metadata.namespace": pod.namespace,
        "metadata.uid": pod.uid,
        "spec.serviceAccountName": pod.service_account,
        "spec.nodeName": NODE_NAME,
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in fields:
        raise Unresolved(f"unsupported fieldPath: {path}")
    return fields[path]


def _secret_data(obj: Object) -> Data:
    return {key: base64.b64decode(value) for key, value in (obj.get("data") or {}).items()}


def _config_map_data(obj: Object) -> Data:
    text = {key: value.encode() for key, value in (obj.get("data") or {}).items()}
    return text | {key: base64.b64decode(value) for key, value in (obj.get("binaryData") or {}).items()}
