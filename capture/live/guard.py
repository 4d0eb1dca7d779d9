"""Who may talk to the server: a plain ASGI layer before everything else."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from capture.live.answers import Refusal, refused

LOOPBACK = ("127.0.0.1", "localhost", "::1")
API = "/api/"
MOST_BYTES = 65_536
"""The longest body that is read."""

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses what does not come from those who may ask.

    ``token``: what they must know, in the header ``Authorization: Bearer`` or in ``?token=``; the page itself holds
    nothing secret and needs none. Without a token the server listens on loopback only: then a page of somewhere else
    may have led a browser here, by a name of its own (the ``Host`` tells) or by a form (no JSON, another ``Origin``).
    """

    app: ASGIApp
    token: str
    headers: dict[str, str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        refusal = self._refusal(scope, headers)
        await (refused(refusal) if refusal else self.app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Refusal | None:
        if not self.token and _host(headers.get("host", "")) not in LOOPBACK:
            accepted = " or ".join(LOOPBACK[:2])
            return Refusal(403, "host", f"the host {headers.get('host', '')!r} is not known here; it is {accepted}")
        if self.token and scope["path"].startswith(API) and not self._knows(scope, headers):
            return Refusal(401, "token", "the token is missing or wrong; it stands where dpcam capture was started")
        return self._refused_change(headers) if scope["method"] not in ("GET", "HEAD") else None

    def _knows(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, said = headers.get("authorization", "").partition(" ")
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        given = said.strip() if scheme.lower() == "bearer" else asked
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _refused_change(self, headers: Headers) -> Refusal | None:
        origin = headers.get("origin")
        if origin is not None and urlsplit_netloc(origin) != headers.get("host", ""):
            return Refusal(403, "origin", f"a page of {origin!r} may not steer this capture")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            return Refusal(415, "content-type", f"the content type is {kind!r}; application/json is accepted")
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal():
            return Refusal(411, "length", "the length of the body must be said: Content-Length")
        if int(length) > MOST_BYTES:
            return Refusal(413, "length", f"the body has {length} bytes; at most {MOST_BYTES} are accepted")
        return None


def urlsplit_netloc(origin: str) -> str:
    """Host and port of an origin; empty for ``null`` and what is no address."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _host(value: str) -> str:
    """The name in a ``Host`` header, without the port."""
    try:
        return (urlsplit(f"//{value}").hostname or "").lower()
    except ValueError:
        return ""
