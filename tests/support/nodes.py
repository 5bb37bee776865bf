"""A node of a kind cluster, to be broken from outside."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Node:
    name: str

    def run(self, *command: str, check: bool = True) -> str:
        done = subprocess.run(["docker", "exec", self.name, *command], capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def kill(self, pod_uid: str, *words: str) -> None:
        """SIGKILL at once to every process of that pod whose command line has one of the words."""
        found = {word: self._processes(word, pod_uid) for word in words}
        assert all(found.values()), f"a word without a process of the pod: {found}"
        self.run("kill", "-KILL", *(pid for pids in found.values() for pid in pids))

    @contextmanager
    def without_kubelet(self) -> Iterator[None]:
        self.run("systemctl", "stop", "kubelet")
        try:
            yield
        finally:
            self.run("systemctl", "start", "kubelet")

    @contextmanager
    def frozen(self, process: str) -> Iterator[None]:
        """As one that no longer answers: its connections stay open."""
        self.run("pkill", "-STOP", "-x", process)
        try:
            yield
        finally:
            self.run("pkill", "-CONT", "-x", process)

    @contextmanager
    def without_manifest(self, name: str) -> Iterator[None]:
        """A static pod that is taken away, and comes back as another process."""
        here, away = f"/etc/kubernetes/manifests/{name}.yaml", f"/etc/kubernetes/{name}.away"
        self.run("mv", here, away)
        try:
            yield
        finally:
            self.run("mv", away, here)

    def _processes(self, word: str, pod_uid: str) -> list[str]:
        return [pid for pid in self.run("pgrep", "-f", word, check=False).split() if self._in_pod(pid, pod_uid)]

    def _in_pod(self, pid: str, pod_uid: str) -> bool:
        """cgroup paths name the pod, with underscores where systemd drives them."""
        groups = self.run("cat", f"/proc/{pid}/cgroup", check=False)
        return pod_uid in groups or pod_uid.replace("-", "_") in groups
