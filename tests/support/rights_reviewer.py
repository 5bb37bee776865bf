"""A cluster that is asked whom it knows and what they may do."""

import orjson

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Object, Transport
from dspy_service_core.kube.resources import TOKEN_REVIEWS


class Reviewer(Transport):
    """Knows the tokens `good` and `better`, whose owner may do what is in `rights`; all else is for `inner`."""

    def __init__(self, inner: Transport | None = None) -> None:
        self.client = KubeClient(self)
        self.rights = {"list"}
        self.reviews: list[Object] = []
        self._inner = inner

    async def send(self, request: KubeRequest) -> KubeResponse:
        if "Review" not in request.resource.kind:
            assert self._inner is not None
            return await self._inner.send(request)
        body = orjson.loads(request.body or b"")
        self.reviews.append(body)
        return KubeResponse(201, orjson.dumps(body | {"status": self._judged(request, body["spec"])}))

    def _judged(self, request: KubeRequest, spec: Object) -> Object:
        if request.resource is TOKEN_REVIEWS:
            known = spec["token"] in ("good", "better")
            return {"authenticated": known, "user": {"username": "jane", "groups": ["g"]}}
        return {"allowed": spec["resourceAttributes"]["verb"] in self.rights}
