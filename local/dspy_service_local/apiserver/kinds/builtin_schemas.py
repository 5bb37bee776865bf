"""Schemas of the built-in kinds: whole for the small ones, the parts that our code and its users write for Pod and Job.

`kubectl explain` and strict field validation read them. Written by hand: Kubernetes' own document is 3 MB.
"""

from typing import Any

Schema = dict[str, Any]


def obj(description: str = "", required: tuple[str, ...] = (), /, **properties: Schema) -> Schema:
    made: Schema = {"type": "object", "properties": properties}
    return (
        made
        | ({"description": description} if description else {})
        | ({"required": list(required)} if required else {})
    )


def open_obj(description: str = "", /, **properties: Schema) -> Schema:
    """More fields than are written down here."""
    return obj(description, (), **properties) | {"x-kubernetes-preserve-unknown-fields": True}


def text(description: str = "") -> Schema:
    return {"type": "string"} | ({"description": description} if description else {})


def integer(description: str = "") -> Schema:
    return {"type": "integer"} | ({"description": description} if description else {})


def boolean(description: str = "") -> Schema:
    return {"type": "boolean"} | ({"description": description} if description else {})


def array(items: Schema, description: str = "") -> Schema:
    return {"type": "array", "items": items} | ({"description": description} if description else {})


def by_key(items: Schema, *keys: str, description: str = "") -> Schema:
    """A list whose elements server-side apply tells apart by their keys."""
    return array(items, description) | {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def mapping(values: Schema, description: str = "") -> Schema:
    return {"type": "object", "additionalProperties": values} | ({"description": description} if description else {})


ANYTHING: Schema = {"x-kubernetes-preserve-unknown-fields": True}
QUANTITY: Schema = {"x-kubernetes-int-or-string": True}
CONDITIONS = by_key(open_obj(type=text(), status=text(), reason=text(), message=text()), "type")

_REFERENCE = open_obj(name=text(), namespace=text(), kind=text(), apiVersion=text(), uid=text(), fieldPath=text())
_ENVIRONMENT = by_key(open_obj("", name=text("Name of the variable."), value=text(), valueFrom=ANYTHING), "name")
_CONTAINER = open_obj(
    "",
    name=text("Name of the container, unique in its pod."),
    image=text("Image that the container runs."),
    command=array(text(), "Entry point."),
    args=array(text(), "Arguments to the entry point."),
    workingDir=text(),
    env=_ENVIRONMENT,
    envFrom=array(ANYTHING),
    resources=open_obj("", limits=mapping(QUANTITY), requests=mapping(QUANTITY)),
    volumeMounts=by_key(open_obj("", name=text(), mountPath=text(), subPath=text(), readOnly=boolean()), "mountPath"),
    restartPolicy=text("`Always` makes an init container a sidecar."),
    imagePullPolicy=text(),
)
_POD_SPEC = open_obj(
    "",
    containers=by_key(_CONTAINER, "name", description="Containers of the pod."),
    initContainers=by_key(_CONTAINER, "name", description="Containers that run first, and sidecars."),
    volumes=by_key(open_obj("", name=text()), "name", description="Volumes that containers mount."),
    restartPolicy=text("Always, OnFailure or Never."),
    nodeName=text("The node that the pod runs on."),
    serviceAccountName=text(),
    activeDeadlineSeconds=integer(),
    terminationGracePeriodSeconds=integer(),
    imagePullSecrets=by_key(open_obj("", name=text()), "name"),
)
_STATUS = open_obj("", conditions=CONDITIONS)

NAMESPACE = obj(
    "A scope for names.",
    spec=obj("", finalizers=array(text())),
    status=open_obj("", phase=text(), conditions=CONDITIONS),
)
POD = open_obj(
    "Containers that run together on one node.",
    spec=_POD_SPEC | {"description": "What the pod is to run.", "required": ["containers"]},
    status=open_obj("", phase=text("Pending, Running, Succeeded, Failed or Unknown."), conditions=CONDITIONS),
)
JOB = open_obj(
    "A task that runs to completion.",
    spec=open_obj(
        "",
        template=open_obj("", metadata=ANYTHING, spec=_POD_SPEC),
        backoffLimit=integer("Retries before the Job fails."),
        activeDeadlineSeconds=integer("Seconds after which the Job fails."),
        ttlSecondsAfterFinished=integer("Seconds after its end at which the Job is deleted."),
        suspend=boolean("While true, no pods run."),
        completions=integer(),
        parallelism=integer(),
        selector=open_obj("", matchLabels=mapping(text())),
        manualSelector=boolean(),
        completionMode=text(),
        podReplacementPolicy=text(),
    )
    | {"required": ["template"]},
    status=_STATUS,
)
CONFIG_MAP = obj(
    "Configuration data.",
    data=mapping(text(), "Text by key."),
    binaryData=mapping(text(), "Base64 by key."),
    immutable=boolean("If true, only the metadata can be changed."),
)
SECRET = obj(
    "Secret data.",
    type=text("What the Secret holds; Opaque by default."),
    data=mapping(text(), "Base64 by key."),
    stringData=mapping(text(), "Text by key, write-only: merged into data."),
    immutable=boolean("If true, only the metadata can be changed."),
)
SERVICE_ACCOUNT = obj(
    "An identity for pods.",
    secrets=by_key(_REFERENCE, "name"),
    imagePullSecrets=by_key(open_obj("", name=text()), "name"),
    automountServiceAccountToken=boolean(),
)
CLAIM = open_obj(
    "A claim to storage.",
    spec=open_obj(
        "",
        accessModes=array(text()),
        resources=open_obj("", limits=mapping(QUANTITY), requests=mapping(QUANTITY)),
        storageClassName=text(),
        volumeMode=text(),
        volumeName=text(),
    ),
    status=open_obj("", phase=text(), conditions=CONDITIONS),
)
VOLUME = open_obj("Storage that claims bind to.", spec=open_obj(""), status=open_obj("", phase=text()))
NODE = open_obj("A machine that runs pods.", spec=open_obj(""), status=_STATUS)
EVENT = obj(
    "A note that something happened to an object.",
    involvedObject=_REFERENCE | {"description": "The object that the event is about."},
    related=_REFERENCE,
    reason=text("Why, as one CamelCase word."),
    message=text("What, in words for people."),
    type=text("Normal or Warning."),
    action=text(),
    count=integer(),
    firstTimestamp=text() | {"nullable": True},
    lastTimestamp=text() | {"nullable": True},
    eventTime=text() | {"nullable": True},
    reportingComponent=text(),
    reportingInstance=text(),
    series=open_obj("") | {"nullable": True},
    source=obj("", component=text(), host=text()),
)
LEASE = obj(
    "A lock with an expiry.",
    spec=obj(
        "",
        holderIdentity=text() | {"nullable": True},
        leaseDurationSeconds=integer() | {"nullable": True},
        acquireTime=text() | {"nullable": True},
        renewTime=text() | {"nullable": True},
        leaseTransitions=integer() | {"nullable": True},
        strategy=text(),
        preferredHolder=text(),
    ),
)
ROLE = obj(
    "What may be done; rules are only ever added up.",
    rules=array(
        obj(
            "",
            ("verbs",),
            verbs=array(text()),
            apiGroups=array(text()),
            resources=array(text()),
            resourceNames=array(text()),
            nonResourceURLs=array(text()),
        )
    ),
    aggregationRule=open_obj(""),
)
ROLE_BINDING = obj(
    "Who may do what a role says.",
    ("roleRef",),
    subjects=array(obj("", ("kind", "name"), kind=text(), name=text(), namespace=text(), apiGroup=text())),
    roleRef=obj("", ("kind", "name", "apiGroup"), kind=text(), name=text(), apiGroup=text()),
)
_PRINTER_COLUMN = obj(
    "",
    ("name", "type", "jsonPath"),
    name=text(),
    type=text(),
    jsonPath=text(),
    description=text(),
    priority=integer(),
    format=text(),
)
_VERSION = obj(
    "",
    ("name", "served", "storage"),
    name=text(),
    served=boolean(),
    storage=boolean(),
    deprecated=boolean(),
    deprecationWarning=text(),
    schema=obj("", openAPIV3Schema=ANYTHING),
    subresources=obj("", status=ANYTHING, scale=ANYTHING),
    additionalPrinterColumns=array(_PRINTER_COLUMN),
    selectableFields=array(obj("", ("jsonPath",), jsonPath=text())),
)
_DEFINITION_NAMES = obj(
    "",
    ("plural", "kind"),
    plural=text(),
    singular=text(),
    kind=text(),
    listKind=text(),
    shortNames=array(text()),
    categories=array(text()),
)
DEFINITION = obj(
    "Makes a kind of custom resources.",
    ("spec",),
    spec=obj(
        "",
        ("group", "names", "scope", "versions"),
        group=text(),
        names=_DEFINITION_NAMES,
        scope=text() | {"enum": ["Namespaced", "Cluster"]},
        versions=array(_VERSION) | {"minItems": 1},
        conversion=ANYTHING,
        preserveUnknownFields=boolean(),
    ),
    status=open_obj("", conditions=CONDITIONS),
)
