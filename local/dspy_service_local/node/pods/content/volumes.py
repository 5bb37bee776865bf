"""A pod's volumes as folders: `pods/<uid>/volumes/<name>` for what lives and dies with the pod, the claim's own folder
for what outlives it.

Content is written before any container starts; a container that runs has these folders mounted, so they are filled in
place and never replaced.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Protocol

from dspy_service_local.node.pods.content.environment import Data, References, Unresolved, expand, field
from dspy_service_local.node.pods.content.remove import give_tree
from dspy_service_local.node.pods.model import Mount, Object, Pod, Volume

CA_CONFIG_MAP = "kube-root-ca.crt"


class Tokens(Protocol):
    """The tokens that pods' projected volumes hold; each is good until its pod is revoked."""

    def issue(self, pod: Pod) -> str: ...

    def revoke(self, pod_uid: str) -> None: ...


class Volumes:
    """`pod_folder` belongs to one pod; `claims` is the folder of all persistent volumes."""

    def __init__(self, pod: Pod, pod_folder: Path, claims: Path, tokens: Tokens, owner: int | None = None) -> None:
        """`owner` is whom the pod's processes run as, where that is not this process's own user."""
        self._pod = pod
        self._folder = pod_folder
        self._claims = claims
        self._tokens = tokens
        self._owner = owner
        self._issued: bytes | None = None

    async def prepare(self, references: References) -> None:
        """Makes and fills every volume; `Unresolved` when something that it needs is missing yet."""
        for volume in self._pod.volumes.values():
            content = await self._content(volume, references)
            folder = self.folder(volume)
            if self._owner is not None and folder.is_dir() and volume.kind != "persistentVolumeClaim":
                await give_tree(folder, self._owner)  # a node before this one may have run as another user
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in content.items():
                _write(folder, name, data)
            if volume.kind != "persistentVolumeClaim":
                self._hand_over(folder, content)

    def folder(self, volume: Volume) -> Path:
        if volume.kind == "persistentVolumeClaim":
            return self._claims / self._pod.namespace / str(volume.source["claimName"])
        return self._folder / "volumes" / volume.name

    def source(self, mount: Mount, env: Mapping[str, str]) -> Path:
        """The folder or file that the mount shows; a missing subPath of a writable volume is made."""
        if mount.volume not in self._pod.volumes:
            raise Unresolved(f'volume "{mount.volume}" is not in the pod', "CreateContainerError")
        folder = self.folder(self._pod.volumes[mount.volume])
        sub_path = mount.sub_path or expand(mount.sub_path_expr, env)
        place = _below(folder, sub_path) if sub_path else folder
        if sub_path and self._pod.volumes[mount.volume].kind == "persistentVolumeClaim" and self._owner is not None:
            _give(place, self._owner)
        return place

    def _hand_over(self, folder: Path, content: Iterable[str]) -> None:
        """What was just written, and nothing that a pod may have put there meanwhile."""
        if self._owner is None:
            return
        os.chown(folder, self._owner, self._owner, follow_symlinks=False)
        for name in content:
            for path in (PurePosixPath(name), *PurePosixPath(name).parents[:-1]):
                os.chown(folder / path, self._owner, self._owner, follow_symlinks=False)

    async def _content(self, volume: Volume, references: References) -> Data:
        source = volume.source
        match volume.kind:
            case "emptyDir" | "persistentVolumeClaim":
                return {}
            case "secret":
                return _items(source, await references.secret(source["secretName"]), source["secretName"])
            case "configMap":
                return _items(source, await references.config_map(source["name"]), source["name"])
            case "projected":
                content: Data = {}
                for part in source.get("sources") or ():
                    content |= await self._projection(part, references)
                return content
            case "downwardAPI":
                return self._downward(source)
        raise Unresolved(f'volume "{volume.name}": this node does not know {volume.kind}')

    async def _projection(self, part: Object, references: References) -> Data:
        if "serviceAccountToken" in part:
            return {part["serviceAccountToken"]["path"]: self._token()}
        if "configMap" in part:
            ref = part["configMap"]
            return _items(ref, await references.config_map(ref["name"]), ref["name"])
        if "secret" in part:
            ref = part["secret"]
            return _items(ref, await references.secret(ref["name"]), ref["name"])
        return self._downward(part["downwardAPI"])

    def _token(self) -> bytes:
        """One for each pod, however often its volumes are prepared."""
        if self._issued is None:
            self._issued = self._tokens.issue(self._pod).encode()
        return self._issued

    def _downward(self, source: Object) -> Data:
        items = source.get("items") or ()
        return {i["path"]: field(self._pod, i["fieldRef"]["fieldPath"]).encode() for i in items if "fieldRef" in i}


def _items(source: Object, data: Data | None, name: str) -> Data:
    if data is None:
        if source.get("optional"):
            return {}
        raise Unresolved(f'"{name}" not found', "ContainerCreating")
    if not source.get("items"):
        return data
    missing = [i["key"] for i in source["items"] if i["key"] not in data]
    if missing and not source.get("optional"):
        raise Unresolved(f'"{name}" references non-existent key: {missing[0]}', "ContainerCreating")
    return {i["path"]: data[i["key"]] for i in source["items"] if i["key"] in data}


def _write(folder: Path, name: str, data: bytes) -> None:
    path = folder / _relative(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _give(place: Path, owner: int) -> None:
    """A job's folder of the store, which others than its reporter write to as well: the API put the payload there."""
    os.chown(place, owner, owner, follow_symlinks=False)
    for _, folders, files, descriptor in os.fwalk(place):
        for name in (*folders, *files):
            os.chown(name, owner, owner, dir_fd=descriptor, follow_symlinks=False)


def _below(folder: Path, sub_path: str) -> Path:
    """What a subPath names was perhaps written by a pod: links must not lead out of the volume."""
    path = folder / _relative(sub_path)
    if not path.exists():
        path.mkdir(parents=True)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Unresolved(f'subPath "{sub_path}" leads out of its volume', "CreateContainerConfigError")
    return path


def _relative(path: str) -> PurePosixPath:
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts:
        raise Unresolved(f'"{path}" is not a path below its volume')
    return relative
