"""A Job's podFailurePolicy: what a failed pod means, by its exit codes and conditions. Pure."""

from dspy_service_local.node.pods.model import Object


def is_ignored(spec: Object, pod: Object) -> bool:
    """Such a failure does not count towards the backoff limit."""
    rule = _rule(spec, pod)
    return rule is not None and rule["action"] == "Ignore"


def fatal_rule(spec: Object, pod: Object) -> str:
    """The message with which the Job fails at once; empty when no rule says so."""
    rule = _rule(spec, pod)
    if rule is None or rule["action"] != "FailJob":
        return ""
    index = spec["podFailurePolicy"]["rules"].index(rule)
    name = f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"
    if "onExitCodes" not in rule:
        return f"Pod {name} has condition matching FailJob rule at index {index}"
    ended = next(c for c in _ended(pod) if _matches_exit(rule["onExitCodes"], [c]))
    code = ended["state"]["terminated"]["exitCode"]
    return (
        f"Container {ended['name']} for pod {name} failed with exit code {code} matching FailJob rule at index {index}"
    )


def _rule(spec: Object, pod: Object) -> Object | None:
    """The first rule that matches decides."""
    rules: list[Object] = (spec.get("podFailurePolicy") or {}).get("rules") or []
    return next((rule for rule in rules if _matches(rule, pod)), None)


def _matches(rule: Object, pod: Object) -> bool:
    if "onExitCodes" in rule:
        return _matches_exit(rule["onExitCodes"], _ended(pod))
    known = {(c["type"], c["status"]) for c in pod["status"].get("conditions") or ()}
    return any((p["type"], p.get("status", "True")) in known for p in rule.get("onPodConditions") or ())


def _matches_exit(wanted: Object, ended: list[Object]) -> bool:
    name, values = wanted.get("containerName"), wanted["values"]
    codes = [c["state"]["terminated"]["exitCode"] for c in ended if name in (None, c["name"])]
    failures = [code for code in codes if code != 0]
    if wanted["operator"] == "In":
        return any(code in values for code in failures)
    return any(code not in values for code in failures)


def _ended(pod: Object) -> list[Object]:
    status = pod["status"]
    known = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return [c for c in known if "terminated" in c.get("state", {})]
