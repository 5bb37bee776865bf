"""What kopf does for the operator, and which of its features are switched off and why.

kopf drives: it starts our work and ends it (`on.startup`, `on.cleanup`, SIGTERM and SIGINT), logs in (`on.login`),
answers the liveness probe (`on.probe`), and lists and watches each kind once (`on.event`), in pages and narrowed by
labels, so that neither finished jobs nor other people's Jobs and pods are ever sent to it.

Not used, because of what it costs or leaves out (measured with 5,000 resources):

- Handlers of changes, timers and daemons: a PATCH for each resource, a copy of its spec in an annotation, and a
  finalizer, without which no deletion is handled and with which a namespace hangs once the operator is uninstalled.
  One level-based pass for every event (`reconciler.py`) needs none of them. Nothing of kopf is written to a resource.
- Their retries: errors of `on.event` are only logged. It puts a key into our work queue, which tries again.
- Indexes: 82 s of CPU at every start. `view.py` is ours.
- What a new list no longer holds: kopf tells nobody of objects that were deleted while its watch was down. After each
  of its lists, and every few minutes, the resync compares.
- The settings below that are switched off.
"""

from typing import Any

from dspy_service_core.kube.resources import Resource
from dspy_service_operator.watch.light_kopf import kopf
from dspy_service_operator.watch.resync import SELECTORS

INACTIVITY_SECONDS = 70.0
"""A watch that is silent for so long is reopened; a healthy server sends a bookmark about every minute."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Stops kopf from copying each resource into its annotations, and from building that copy at every event: we have
    no handlers of changes."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        return


def make_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    _watch(settings)
    _switch_off(settings)
    return settings


def selector(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural


def _watch(settings: kopf.OperatorSettings) -> None:
    settings.watching.server_timeout = 300
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = INACTIVITY_SECONDS
    settings.watching.chunk_size = 250
    for resource, labels in SELECTORS.items():
        settings.watching.label_selectors[selector(resource)] = labels


def _switch_off(settings: kopf.OperatorSettings) -> None:
    settings.persistence.diffbase_storage = NoDiffBase()
    # Events are posted by `monitoring/events.py`. kopf finds its queue of Events in a variable of the context that only
    # its handlers have, and ours come from the work queue, when a pass has decided. It ends its poster first of all, so
    # that the last Events before the end of the process would be lost. Its queue has no bound, nor has the number of
    # Events for a job.
    settings.posting.enabled = False
    # Which kinds and namespaces there are is looked at once: to watch them would take rights over the whole cluster.
    settings.scanning.disabled = True
    # Peering only advises, and stops every replica where two are equal: `leadership.py` holds a Lease instead.
    settings.peering.standalone = True
    # Its workers do no more than to put a key into our work queue, which has the limit. A limit here would hold a slot
    # for the whole idle time: with 20, 5,000 resources took more than 237 s.
    settings.queueing.worker_limit = None
    settings.queueing.idle_timeout = 1.0
    settings.queueing.exit_timeout = 1.0
