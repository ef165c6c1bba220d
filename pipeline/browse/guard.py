"""Who may ask: this machine's own browser, and no page of another site through it.

A page on the web can make a browser ask ``http://127.0.0.1`` (and, by giving its own name this address, read
the answer: DNS rebinding). Such a request carries the other site's name as its Host, and is refused.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from pipeline.errors import UserError

LOOPBACK_NAMES = ("localhost",)
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
Scope = dict[str, Any]
App = Callable[[Scope, Callable, Callable], Awaitable[None]]


def check_address(host: str, allow_remote: bool) -> None:
    """Refuse to listen where other machines can ask, unless that is asked for.

    Raises:
        UserError: the address is not a loopback one.
    """
    if not allow_remote and not is_loopback(host):
        raise UserError(
            f"--host {host} would let other machines see the data, without a password. Leave it at 127.0.0.1"
            " (and reach a remote machine by `ssh -L 8365:127.0.0.1:8365 MACHINE`), or add --allow-remote."
        )


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own."""
    address = _address(host)
    return host.lower() in LOOPBACK_NAMES if address is None else address.is_loopback


def allows(host_header: str, names: Iterable[str], allow_remote: bool) -> bool:
    """Whether a request with this Host header is let in.

    Names are let in only if they are known, whatever address they stand for; addresses only if they are this
    machine's own, or, with ``allow_remote``, any: an address cannot be rebound.
    """
    host = _without_port(host_header)
    address = _address(host)
    if address is None:
        return host.lower() in (*LOOPBACK_NAMES, *(name.lower() for name in names))
    return allow_remote or address.is_loopback


class Guard:
    """ASGI middleware: GET and HEAD only, known hosts only, and headers that keep other sites out."""

    def __init__(self, app: App, names: Iterable[str] = (), allow_remote: bool = False) -> None:
        self._app, self._names, self._allow_remote = app, tuple(names), allow_remote

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return
            await self._app(scope, receive, send)
            return
        header = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if not allows(header, self._names, self._allow_remote):
            how = (
                "by the machine's address, or start it with --host NAME"
                if self._allow_remote
                else "as 127.0.0.1"
            )
            await _refuse(send, 403, f"This page is not served under the name {header!r}: open it {how}.")
            return
        if scope["method"] not in ("GET", "HEAD"):
            await _refuse(send, 405, "The page only reads.")
            return

        async def with_headers(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        await self._app(scope, receive, with_headers)


async def _refuse(send: Callable, status: int, message: str) -> None:
    body = json.dumps({"message": message}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _without_port(header: str) -> str:
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0] if header.count(":") == 1 else header


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
