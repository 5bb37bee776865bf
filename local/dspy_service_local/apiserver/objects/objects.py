"""Metadata: what a client may set, what only the server sets, and which names are names. Pure."""

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.refusals import Problem, invalid_value
from dspy_service_local.apiserver.storage.selectors import Facets

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_IS_LABEL, _IS_SUBDOMAIN, _IS_QUALIFIED = re.compile(_LABEL), re.compile(_SUBDOMAIN), re.compile(_QUALIFIED)
_GENERATED = "bcdfghjklmnpqrstvwxz2456789"
"""Kubernetes' alphabet for generated names: no vowels, so no words."""
_MOST_ANNOTATIONS = 256 * 1024
_MOST_GENERATED_PREFIX = 58

_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    f" end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    f" an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    f" '{_QUALIFIED}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    f" '({_QUALIFIED})?')"
)

Dict = dict[str, Any]


def timestamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def checked_body(kind: Kind, body: object) -> Object:
    """The body as an object of this kind; apiVersion and kind may be left out."""
    if not isinstance(body, dict):
        raise refusals.bad_request("the body of the request must be a JSON object")
    expected = kind.resource.api_version
    if (given := body.get("apiVersion", expected)) != expected:
        raise refusals.bad_request(
            f"the API version in the data ({given}) does not match the expected API version ({expected})"
        )
    metadata = body.get("metadata")
    if not isinstance(metadata, dict | None):
        raise refusals.bad_request("metadata must be an object")
    if (given := body.get("kind", kind.resource.kind)) != kind.resource.kind:
        raise _wrong_kind(kind, str(given), str((metadata or {}).get("name", "")))
    ordered = {"apiVersion": expected, "kind": kind.resource.kind, "metadata": dict(metadata or {})}
    return ordered | {key: value for key, value in body.items() if key not in ordered}


def _wrong_kind(kind: Kind, given: str, name: str) -> KubeError:
    """A real server decodes built-in kinds by what they say they are, and custom ones by the path, then validates."""
    if not kind.custom:
        return refusals.bad_request(f"the kind in the data ({given}) does not match the expected kind")
    problem = invalid_value("kind", given, f"must be {kind.resource.kind}")
    return refusals.invalid(replace(kind.resource, kind=given), name, [problem])


def place(metadata: Dict, namespaced: bool, namespace: str, name: str = "") -> None:
    """Namespace and name of the request, which the body may repeat and not contradict."""
    if not namespaced:
        metadata.pop("namespace", None)
    elif metadata.setdefault("namespace", namespace) != namespace:
        raise refusals.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    if name and metadata.setdefault("name", name) != name:
        raise refusals.bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
        )


def generated_name(prefix: str) -> str:
    return prefix[:_MOST_GENERATED_PREFIX] + "".join(secrets.choice(_GENERATED) for _ in range(5))


def born(metadata: Dict, now: str, *, counts_generation: bool) -> None:
    for owned in ("resourceVersion", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        metadata.pop(owned, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now
    if counts_generation:
        metadata["generation"] = 1


_SERVERS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


def carried_over(metadata: Dict, old: Dict, *, applies: bool = False) -> Dict:
    """The new metadata with the server's own fields as they were; an apply has set managedFields rightly."""
    if not applies:
        cleared = metadata.get("managedFields") == [] or metadata.get("managedFields") == [{}]
        metadata = {key: value for key, value in metadata.items() if key != "managedFields"}
        if "managedFields" in old and not cleared:
            metadata["managedFields"] = old["managedFields"]
    kept = {key: value for key, value in metadata.items() if key not in _SERVERS and key != "selfLink"}
    kept |= {key: old[key] for key in _SERVERS if key in old}
    return kept | {"resourceVersion": old["resourceVersion"]}


def name_problems(kind: Kind, metadata: Dict) -> list[Problem]:
    name = metadata.get("name")
    if not name:
        return [refusals.required("metadata.name", "name or generateName is required")]
    pattern, rule, most = (_IS_LABEL, _LABEL_RULE, 63) if kind.label_names else (_IS_SUBDOMAIN, _SUBDOMAIN_RULE, 253)
    if not isinstance(name, str) or not pattern.fullmatch(name):
        return [invalid_value("metadata.name", name, rule)]
    if len(name) > most:
        return [invalid_value("metadata.name", name, f"must be no more than {most} characters")]
    return []


def metadata_problems(metadata: Dict, old: Dict | None) -> list[Problem]:
    """Labels, annotations, owners and finalizers, where they are not as they were."""
    found: list[Problem] = []
    before = old or {}
    for section in ("labels", "annotations"):
        value = metadata.get(section)
        if value is None or value == {}:
            metadata.pop(section, None)
        elif value != before.get(section):
            found += _map_problems(section, value)
    for section in ("ownerReferences", "finalizers"):
        value = metadata.get(section)
        if not value:
            metadata.pop(section, None)
        elif value != before.get(section):
            found += _OWN_PROBLEMS[section](value, before)
    return found


def _map_problems(section: str, value: object) -> list[Problem]:
    path = f"metadata.{section}"
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        return [invalid_value(path, value, "must be a map of strings")]
    found = [problem for key in value for problem in _key_problems(path, key)]
    if section == "labels":
        return found + [
            invalid_value(path, item, _VALUE_RULE if len(item) <= 63 else "must be no more than 63 characters")
            for item in value.values()
            if len(item) > 63 or (item and not _IS_QUALIFIED.fullmatch(item))
        ]
    if sum(len(key) + len(item) for key, item in value.items()) > _MOST_ANNOTATIONS:
        why = f"Too long: may not be more than {_MOST_ANNOTATIONS} bytes"
        found.append(Problem(path, "FieldValueTooLong", why))
    return found


def _key_problems(path: str, key: str) -> list[Problem]:
    prefix, slash, name = key.rpartition("/")
    if slash and (not _IS_SUBDOMAIN.fullmatch(prefix.lower()) or len(prefix) > 253):
        return [invalid_value(path, key, f"prefix part {_SUBDOMAIN_RULE}")]
    if not _IS_QUALIFIED.fullmatch(name):
        return [invalid_value(path, key, _QUALIFIED_RULE)]
    return [invalid_value(path, key, "name part must be no more than 63 characters")] if len(name) > 63 else []


def _owner_problems(value: object, before: Dict) -> list[Problem]:
    path = "metadata.ownerReferences"
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return [invalid_value(path, value, "must be a list of objects")]
    found = [
        refusals.required(f"{path}[{index}].{key}", "must not be empty")
        for index, owner in enumerate(value)
        for key in ("apiVersion", "kind", "name", "uid")
        if not owner.get(key)
    ]
    if sum(1 for owner in value if owner.get("controller")) > 1:
        why = "Only one reference can have Controller set to true"
        found.append(invalid_value(path, value, why))
    return found


def _finalizer_problems(value: object, before: Dict) -> list[Problem]:
    path = "metadata.finalizers"
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return [invalid_value(path, value, "must be a list of strings")]
    added = [item for item in value if item not in before.get("finalizers", ())]
    if added and "deletionTimestamp" in before:
        named = ", ".join(refusals.quoted(item) for item in added)
        why = f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{named}}}"
        return [refusals.forbidden_field(path, why)]
    return []


_OWN_PROBLEMS = {"ownerReferences": _owner_problems, "finalizers": _finalizer_problems}


def owners(metadata: Mapping[str, Any]) -> list[str]:
    return [owner["uid"] for owner in metadata.get("ownerReferences") or ()]


def facets(kind: Kind, obj: Object) -> Facets:
    return Facets(obj["metadata"].get("labels") or {}, {path: _text(obj, path) for path in kind.selectable})


def _text(obj: Object, path: str) -> str:
    value: Any = obj
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
