"""The server of a running capture: its address is taken first, it answers from a thread, and ends with the capture."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from calibration.errors import BadUsage, NotReady
from capture.control import Control
from capture.live.api import live_app
from capture.live.preview import Preview

DEFAULT = "127.0.0.1:8765"
SEND_BYTES = 262_144
"""What may lie unsent: a slow phone sees fewer pictures, not old ones."""

END_S = 2


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 takes a free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``HOST``, ``:PORT`` or ``PORT``; ``[::1]:PORT``. :class:`BadUsage` for anything else."""
    default_host, _, default_port = DEFAULT.rpartition(":")
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon and text.isdecimal():
        host, port = "", text
    elif not colon:
        host, port = text, ""
    name, number = host.strip("[]") or default_host, port or default_port
    if not number.isdecimal() or int(number) > 65_535 or (":" in name and not host.startswith("[")):
        raise BadUsage(f"{text!r} is no address; HOST:PORT is accepted, such as {DEFAULT}", where="--serve")
    return Address(name, int(number))


@dataclass(frozen=True, slots=True)
class Listening:
    """A taken address. ``url`` leads to the page; ``token`` is empty on loopback."""

    socket: socket.socket
    url: str
    token: str


@contextmanager
def listening(address: Address) -> Iterator[Listening]:
    """Take the address; :class:`NotReady` when it cannot be had. Off loopback with a token that nobody can guess."""
    try:
        family, _, _, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family)
    except OSError as error:
        raise _not_had(address, error) from error
    with taken:
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
            taken.bind(where)
            taken.listen()
        except OSError as error:
            raise _not_had(address, error) from error
        token = "" if address.loopback else secrets.token_urlsafe(18)
        yield Listening(taken, _url(address, taken.getsockname()[1], token), token)


def _not_had(address: Address, error: OSError) -> NotReady:
    return NotReady(
        f"cannot listen at {address.host}:{address.port}: {error.strerror or error}",
        hint="name another address: --serve HOST:PORT; port 0 takes a free one",
        where="--serve",
    )


def _url(address: Address, port: int, token: str) -> str:
    """As a browser takes it; an address that means "every one of this machine" is shown as the machine's name."""
    everywhere = address.host in ("0.0.0.0", "::")  # noqa: S104
    host = socket.gethostname() if everywhere else address.host
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


@contextmanager
def serving(at: Listening, control: Control, preview: Preview) -> Iterator[None]:
    """Within: the server answers. It never takes part in the capture: a failure of its own is nobody else's."""
    config = uvicorn.Config(
        live_app(control, preview, at.token),
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=END_S,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=[_run(server, at.socket)], name="live page", daemon=True)
    with preview.running():
        thread.start()
        try:
            yield
        finally:
            # Streams end by themselves once the capture is over, after its last state.
            control.close()
            server.should_exit = True
            thread.join(END_S + 3)


async def _run(server: uvicorn.Server, at: socket.socket) -> None:
    """To its end; who has not read what was sent by then is hung up on."""
    await server.serve([at])
    for connection in list(server.server_state.connections):
        transport = getattr(connection, "transport", None)
        if transport is not None:
            transport.abort()
    await asyncio.sleep(0)
