"""Signing in: with the token that clients use, or by the one-time code that `dspy-service up` printed."""

import hmac
import time
from urllib.parse import urlsplit

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.session import TokenTooLong, take_away
from dspy_service_api.page.visit import Visit

_TOO_LONG = "This token is too long for a cookie: no browser would keep it. Make one with fewer claims."


async def sign_in(visit: Visit) -> Response:
    code = visit.request.query_params.get("code", "")
    following = _own_path(visit.request.query_params.get("next", ""))
    if code:
        return await _by_code(visit, code, following)
    if not visit.page.asks_for_token:
        return visit.go(following)
    return visit.show("sign_in.html", following=following, wrong="")


async def signed_in(visit: Visit) -> Response:
    form = await visit.form()
    token, following = str(form.get("token", "")).strip(), _own_path(str(form.get("next", "")))
    wrong = await _refusal(visit, token)
    if wrong:
        return visit.show("sign_in.html", 401, following=following, wrong=wrong)
    return _begin(visit, token, following)


async def sign_out(visit: Visit) -> Response:
    await visit.form()
    response = visit.go("/")
    take_away(visit.request, response)
    return response


async def _by_code(visit: Visit, code: str, following: str) -> Response:
    if _is_good(visit, code):
        visit.page.spent.add(code)
        return _begin(visit, visit.page.token, following)
    wrong = "This address has been used, or is too old: sign in with the token, or start the service anew."
    return visit.show("sign_in.html", 401, following=following, wrong=wrong)


def _is_good(visit: Visit, code: str) -> bool:
    """It names the time until which it may be used, and is good for one use."""
    known = visit.page.one_time_code
    until = known.partition(".")[0]
    return bool(
        visit.page.token
        and until.isdigit()
        and int(until) > time.time()
        and hmac.compare_digest(code.encode(), known.encode())
        and code not in visit.page.spent
    )


async def _refusal(visit: Visit, token: str) -> str:
    """Why the token is not taken; what it may do is found out where it does something."""
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        return "This is no token: paste the whole of it, without line breaks."
    headers = {**visit.contract.headers, "authorization": f"Bearer {token}"}
    try:
        await Contract(visit.request.app, headers).get("/catalogue")
    except Refused as exc:
        return exc.detail
    return ""


def _begin(visit: Visit, token: str, following: str) -> Response:
    """A session of its own, so that no word of the one before is of any use."""
    visit.session = visit.seal.begun(token)
    visit.is_new = True
    try:
        return visit.go(following)
    except TokenTooLong:
        visit.session, visit.is_new = visit.seal.begun(), True
        return visit.show("sign_in.html", 400, following=following, wrong=_TOO_LONG)


def _own_path(given: str) -> str:
    """A path of this service and nothing else: nobody is sent elsewhere from here."""
    parts = urlsplit(given)
    plain = given.startswith("/") and not given.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return given if plain and given.isprintable() and "\\" not in given else "/"
