"""One request of a browser: who it is, what the page asks for it, and how it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.render import rendered
from dspy_service_api.page.session import Seal, Session, take_away

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "require-trusted-types-for 'script'",
        "trusted-types dspy-service",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
SIGN_IN = "/page/sign-in"
FORM_WORD = "form_word"
_LONGEST_FORM = 64 * 1024 * 1024


class StaleForm(Exception):
    """A form without the visitor's own word: of another site, or older than their session."""


@dataclass(slots=True)
class Page:
    """What all requests have in common. `key` is asked for at the first of them: it may lie in the cluster."""

    asks_for_token: bool
    key: Callable[[], Awaitable[bytes]]
    lifetime: int
    one_time_code: str = ""
    token: str = ""
    """What the one-time code stands for."""
    spent: set[str] = field(default_factory=set)
    _seal: Seal | None = None

    async def seal(self) -> Seal:
        if self._seal is None:
            self._seal = Seal(await self.key(), self.lifetime)
        return self._seal


@dataclass(slots=True)
class Visit:
    request: Request
    page: Page
    seal: Seal
    session: Session
    is_new: bool
    """Whether the browser has no cookie of this session yet."""
    may_send: bool = True

    @classmethod
    async def of(cls, request: Request) -> "Visit":
        page: Page = request.app.state.page
        seal = await page.seal()
        session = seal.opened(request)
        return cls(request, page, seal, session or seal.begun(), session is None)

    @property
    def contract(self) -> Contract:
        headers = {"host": self.request.headers.get("host", "localhost"), "x-request-id": self.request.state.request_id}
        if self.session.token:
            headers["authorization"] = f"Bearer {self.session.token}"
        return Contract(self.request.app, headers)

    async def may(self, method: str, path: str) -> bool:
        """Whether the visitor's request would be let in: what they may not do is not shown to them."""
        headers = {name.encode(): value.encode() for name, value in self.contract.headers.items()}
        allowed: bool = await self.request.state.may(method, path, headers)
        return allowed

    @property
    def is_fragment(self) -> bool:
        """Whether a script of the page asks, for a part of it."""
        return self.request.headers.get("hx-request") == "true"

    def show(self, template: str, status: int = 200, **values: Any) -> Response:
        shown = {
            "form_word": self.seal.form_word(self.session),
            "form_word_name": FORM_WORD,
            "signed_in": bool(self.session.token),
            "may_send": self.may_send,
            "path": self.request.url.path,
        }
        content = rendered(template, shown | values)
        return self._answered(Response(content, status, media_type="text/html"))

    def go(self, path: str) -> Response:
        return self._answered(RedirectResponse(path, 303))

    def download(self, content: bytes, file: str, kind: str) -> Response:
        """Never shown in place, whatever is in it."""
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(file)}"}
        return self._answered(Response(content, media_type=kind, headers=headers))

    async def form(self) -> FormData:
        """Raises `StaleForm`."""
        form = await self.request.form(max_files=4, max_fields=400, max_part_size=_LONGEST_FORM)
        if not self.seal.is_form_word(self.session, str(form.get(FORM_WORD, ""))):
            raise StaleForm
        return form

    def refused(self, exc: Refused) -> Response:
        """Who is not known (any more) is asked to sign in, and comes back to where they were."""
        if exc.status == 401:
            return self._unknown()
        if self.is_fragment:
            return self.show("refused_part.html", exc.status, refused=exc)
        return self.show("refused.html", exc.status, refused=exc)

    def _unknown(self) -> Response:
        back = self.request.url.path if self.request.method == "GET" and not self.is_fragment else "/"
        query = f"?{self.request.url.query}" if self.request.url.query and back != "/" else ""
        where = f"{SIGN_IN}?next={quote(back + query, safe='')}"
        if self.is_fragment:
            response = Response(status_code=401, headers={"HX-Redirect": where})
        else:
            response = RedirectResponse(where, 303)
        if self.session.token:
            take_away(self.request, response)
        return self._dressed(response)

    def _answered(self, response: Response) -> Response:
        if self.is_new and not self.is_fragment:
            self.seal.put(self.session, self.request, response)
        return self._dressed(response)

    def _dressed(self, response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response


Handler = Callable[[Visit], Awaitable[Response]]


async def visited(request: Request, handler: Handler) -> Response:
    visit = await Visit.of(request)
    visit.may_send = visit.is_fragment or await visit.may("POST", "/run")
    try:
        return await handler(visit)
    except Refused as exc:
        return visit.refused(exc)
    except StaleForm:
        return visit.show("stale_form.html", 403)


def params_of(request: Request) -> Mapping[str, str]:
    return {name: value.strip() for name, value in request.query_params.items() if value.strip()}
