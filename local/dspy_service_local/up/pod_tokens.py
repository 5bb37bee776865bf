"""The node's side of the cluster's tokens: each runner pod may report for the job that its label names."""

from dspy_service_core.resource import names
from dspy_service_local.apiserver.auth.tokens import TokenStore
from dspy_service_local.node.pods.model import Pod


class PodTokens:
    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def issue(self, pod: Pod) -> str:
        job = (pod.metadata.get("labels") or {}).get(names.LABEL_JOB, "")
        return self._store.mint(pod_uid=pod.uid, namespace=pod.namespace, job=job)

    def revoke(self, pod_uid: str) -> None:
        self._store.revoke(pod_uid)
