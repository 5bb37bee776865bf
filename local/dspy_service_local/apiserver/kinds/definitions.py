"""From a CustomResourceDefinition to a kind that is served.

Only the storage version is served: one version is all we have, and conversion is out of scope.
"""

from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.admission.programs import RuleError
from dspy_service_local.apiserver.admission.schema import StructuralAdmission
from dspy_service_local.apiserver.kinds.kinds import Column, Kind
from dspy_service_local.apiserver.refusals import Problem, invalid_value

CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_AGE = Column("Age", ".metadata.creationTimestamp", type="date", description="When the object was created.")


def prepare_definition(obj: Object, now: str) -> None:
    """Names are accepted and the kind is served at once, so the status says so from the first."""
    spec = obj.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(names, dict):
        return
    names.setdefault("singular", str(names.get("kind", "")).lower())
    names.setdefault("listKind", f"{names.get('kind', '')}List")
    spec.setdefault("conversion", {"strategy": "None"})
    metadata = obj["metadata"]
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), CLEANUP_FINALIZER]
    versions = spec.get("versions")
    stored = [v.get("name") for v in versions if v.get("storage")] if isinstance(versions, list) else []
    obj["status"] = {
        "acceptedNames": dict(names),
        "storedVersions": stored,
        "conditions": [
            _condition("NamesAccepted", "NoConflicts", "no conflicts found", now),
            _condition("Established", "InitialNamesAccepted", "the initial names have been accepted", now),
        ],
    }


def _condition(type_: str, reason: str, message: str, now: str) -> dict[str, str]:
    return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now}


def definition_problems(obj: Object, old: Object | None) -> list[Problem]:
    spec, found = obj["spec"], []
    names = spec["names"]
    expected = f"{names['plural']}.{spec['group']}"
    if obj["metadata"]["name"] != expected:
        found.append(
            invalid_value("metadata.name", obj["metadata"]["name"], 'must be spec.names.plural+"."+spec.group')
        )
    if sum(1 for version in spec["versions"] if version["storage"]) != 1:
        why = "must have exactly one version marked as storage version"
        found.append(invalid_value("spec.versions", [version["name"] for version in spec["versions"]], why))
    if old is not None:
        for field in ("group", "scope"):
            if spec[field] != old["spec"][field]:
                found.append(invalid_value(f"spec.{field}", spec[field], "field is immutable"))
    for index, version in enumerate(spec["versions"]):
        found += _version_problems(f"spec.versions[{index}]", version)
    return found


def _version_problems(path: str, version: dict[str, Any]) -> list[Problem]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    where = f"{path}.schema.openAPIV3Schema"
    if not isinstance(schema, dict):
        return [refusals.required(where, "schemas are required")]
    if schema.get("type") != "object":
        return [invalid_value(f"{where}.type", schema.get("type", ""), "must be object at the root")]
    try:
        StructuralAdmission(schema)
    except RuleError as exc:
        return [invalid_value(f"{where}.x-kubernetes-validations", "object", f"compilation failed: {exc}")]
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        return [invalid_value(where, "object", f"no structural schema: {exc}")]
    return []


def kind_of(definition: Object) -> Kind:
    """The kind that an admitted definition describes."""
    spec = definition["spec"]
    names = spec["names"]
    version = next(version for version in spec["versions"] if version["storage"])
    schema = version["schema"]["openAPIV3Schema"]
    resource = Resource(
        spec["group"], version["name"], names["plural"], names["kind"], namespaced=spec["scope"] == "Namespaced"
    )
    return Kind(
        resource,
        names.get("singular") or names["kind"].lower(),
        StructuralAdmission(schema),
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        subresources=("status",) if "status" in (version.get("subresources") or {}) else (),
        columns=tuple(_column(given) for given in version.get("additionalPrinterColumns") or ()) or (_AGE,),
        selectable=tuple(each["jsonPath"].lstrip(".") for each in version.get("selectableFields") or ()),
        openapi=schema,
        list_kind=names.get("listKind", ""),
        custom=True,
        counts_generation=True,
    )


def _column(given: dict[str, Any]) -> Column:
    return Column(
        given["name"],
        given["jsonPath"],
        type=given["type"],
        format=given.get("format", ""),
        description=given.get("description", ""),
        priority=int(given.get("priority", 0)),
    )
