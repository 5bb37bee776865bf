"""A small Kubernetes API server on SQLite: what the embedded cluster has in the place of etcd and kube-apiserver.

A request's way: `http` identifies and routes it (`tokens`, `authorize`, `routes`, `requests`), or it comes from this
process (`inprocess`); `object_api` answers it: a verb (`verbs`, `patching`, `deletion`, `listing`) calls `operations`,
which admits the object (`objects`, `schema`, `validation`, `rules`) and writes it as bytes (`storage`). From there
changes go to watchers (`watch`) and to what works in the background (`garbage`, `cleanup`).

It promises what `tests/conformance/` states and nothing else. In particular it does not have: RBAC and admission
webhooks (one administrator, and pods' tokens with one fixed right), the scale subresource, several served versions of
a custom resource and their conversion, protobuf, aggregated discovery, OpenAPI v2, API priority and fairness, exec,
attach, port-forward, whole schemas of the built-in kinds, managedFields of objects that nobody ever applied, CEL's
optional syntax and Kubernetes' own CEL libraries (a definition that uses them is refused), transition rules on parts
that an update leaves as they are, events.k8s.io, and history beyond a window of some megabytes.
"""

from dspy_service_local.apiserver.auth.tokens import TokenStore
from dspy_service_local.apiserver.cluster import Cluster, ClusterInUse
from dspy_service_local.apiserver.logs import LogRequest, PodLogs
from dspy_service_local.apiserver.serve import ApiServer

__all__ = ["ApiServer", "Cluster", "ClusterInUse", "LogRequest", "PodLogs", "TokenStore"]
