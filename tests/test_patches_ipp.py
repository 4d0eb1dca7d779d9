"""The protocol: bytes as RFC 8010 writes them, and whatever else may answer instead of a print server."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.print_system import free_port

from calibration.errors import BadUsage, DpcamError, NoPrintServer, PrintRefused
from patches.ipp import Group, Operation, Resolution, Tag, ask, attribute, decode, encode

HEAD = bytes.fromhex("0200 0000 00000001")
END = b"\x03"


def value(tag: int, name: str, data: bytes) -> bytes:
    """One value as it stands in a message; more values of an attribute have no name."""
    return struct.pack(">BH", tag, len(name)) + name.encode() + struct.pack(">H", len(data)) + data


# What is sent


def test_a_request_as_the_standard_writes_it():
    """RFC 8010, appendix A.1, shortened: the bytes are counted there one by one."""
    operation = [
        attribute("attributes-charset", Tag.CHARSET, "utf-8"),
        attribute("attributes-natural-language", Tag.LANGUAGE, "en-us"),
        attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True),
    ]
    job = [attribute("copies", Tag.INTEGER, 20), attribute("sides", Tag.KEYWORD, "two-sided-long-edge")]
    assert encode(Operation.CREATE_JOB, {Group.OPERATION: operation, Group.JOB: job}) == (
        bytes.fromhex("0200 0005 00000001 01")
        + b"\x47\x00\x12attributes-charset\x00\x05utf-8"
        + b"\x48\x00\x1battributes-natural-language\x00\x05en-us"
        + b"\x22\x00\x16ipp-attribute-fidelity\x00\x01\x01"
        + b"\x02"
        + b"\x21\x00\x06copies\x00\x04\x00\x00\x00\x14"
        + b"\x44\x00\x05sides\x00\x13two-sided-long-edge"
        + END
    )


def test_further_values_have_no_name():
    sent = encode(Operation.GET_JOB_ATTRIBUTES, {Group.OPERATION: [attribute("a", Tag.KEYWORD, "x", "y")]})
    assert sent.endswith(b"\x01" + b"\x44\x00\x01a\x00\x01x" + b"\x44\x00\x00\x00\x01y" + END)


# What comes back


def test_values_of_every_kind():
    lengths = struct.pack(">H2sH3s", 2, b"de", 3, b"aus")
    members = (
        value(Tag.INTEGER, "number", struct.pack(">i", -7)),
        value(Tag.ENUM, "state", struct.pack(">i", 5)),
        value(Tag.BOOLEAN, "yes", b"\x01"),
        value(Tag.RESOLUTION, "fine", struct.pack(">iib", 600, 300, 3)),
        value(Tag.RESOLUTION, "metric", struct.pack(">iib", 100, 200, 4)),
        value(Tag.RANGE, "copies", struct.pack(">ii", 1, 9)),
        value(Tag.NAME, "name", "größer".encode()),
        value(Tag.TEXT_WITH_LANGUAGE, "why", lengths),
        value(0x12, "unknown", b""),
        value(Tag.KEYWORD, "media", b"a4") + value(Tag.KEYWORD, "", b"a3"),
        value(0x30, "octets", b"\xff"),
    )
    (found,) = decode(HEAD + bytes([Group.PRINTER]) + b"".join(members) + END, "ipp://x").printers
    assert found.number("number") == -7
    assert found.number("state") == 5
    assert found.all("yes") == (True,)
    assert found.resolutions("fine") == (Resolution(600, 300),)
    assert found.resolutions("metric")[0].dpi == (254, 508)
    assert found.all("copies") == ((1, 9),)
    assert (found.text("name"), found.text("why")) == ("größer", "aus")
    assert (found.all("unknown"), "unknown" in found, "nothing" in found) == ((), True, False)
    assert found.texts("media") == ("a4", "a3")


def test_collections_are_passed_over_with_all_that_is_in_them():
    inner = value(0x4A, "", b"media-size") + value(Tag.BEGIN_COLLECTION, "", b"")
    inner += value(0x4A, "", b"x-dimension") + value(Tag.INTEGER, "", struct.pack(">i", 21000))
    inner += value(Tag.END_COLLECTION, "", b"")
    outer = value(Tag.BEGIN_COLLECTION, "media-col", b"") + inner + value(Tag.END_COLLECTION, "", b"")
    after = value(Tag.KEYWORD, "sides", b"one-sided")
    (found,) = decode(HEAD + bytes([Group.JOB]) + outer + after + END, "ipp://x").jobs
    assert dict(found.found) == {"media-col": (), "sides": ("one-sided",)}


def test_a_refusal_keeps_its_words_and_what_was_not_supported():
    words = value(0x41, "status-message", b"no such paper")
    refused = value(Tag.KEYWORD, "media", b"iso_a0")
    said = decode(
        b"\x02\x00\x04\x0b\x00\x00\x00\x01" + b"\x01" + words + bytes([Group.UNSUPPORTED]) + refused + END, "ipp://x"
    )
    assert (said.ok, said.status, said.message) == (False, 0x040B, "no such paper")
    assert "media" in said.unsupported


WHOLE = (
    HEAD
    + b"\x01"
    + value(Tag.CHARSET, "attributes-charset", b"utf-8")
    + b"\x04"
    + value(Tag.RESOLUTION, "printer-resolution-supported", struct.pack(">iib", 600, 600, 3))
)


@given(st.integers(0, len(WHOLE) - 1))
def test_an_answer_that_is_cut_off(end: int):
    with pytest.raises(NoPrintServer, match="does not speak IPP"):
        decode(WHOLE[:end], "ipp://x")


@given(st.binary(max_size=200))
def test_noise_is_an_answer_or_an_error_of_ours(noise: bytes):
    with contextlib.suppress(DpcamError):
        decode(HEAD + noise, "ipp://x")


# What else may answer


@contextlib.contextmanager
def web_server(status: int, kind: str, body: bytes, host: str = "127.0.0.1") -> Iterator[str]:
    """A server with one answer to everything; its address as a printer's."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"ipp://{host}:{server.server_address[1]}/ipp/print"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_encryption_that_fails_has_its_own_hint():
    with web_server(200, "application/ipp", HEAD + END) as uri, pytest.raises(NoPrintServer) as failed:
        ask(uri.replace("ipp:", "ipps:"), Operation.GET_PRINTER_ATTRIBUTES)
    assert "certificate" in failed.value.hint


STRANGERS = {
    "web page": (200, "text/html", b"<html>", NoPrintServer, "does not speak IPP: HTTP 200"),
    "not found": (404, "text/plain", b"", NoPrintServer, "HTTP 404"),
    "password": (401, "text/html", b"", PrintRefused, "password or encryption: HTTP 401"),
    "encryption": (426, "text/html", b"", PrintRefused, "HTTP 426"),
    "nothing": (200, "application/ipp", b"", NoPrintServer, "does not speak IPP"),
    "text": (200, "application/ipp", b"<html></html>", NoPrintServer, "does not speak IPP"),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_strangers(case: str):
    status, content, body, kind, words = STRANGERS[case]
    with web_server(status, content, body) as uri, pytest.raises(DpcamError, match=words) as caught:
        ask(uri, Operation.GET_PRINTER_ATTRIBUTES)
    assert type(caught.value) is kind
    assert caught.value.where == uri


def test_nobody_there():
    with pytest.raises(NoPrintServer, match="Connection refused") as caught:
        ask(f"ipp://127.0.0.1:{free_port()}/", Operation.GET_PRINTER_ATTRIBUTES)
    assert "apt-get install cups" in caught.value.hint


def test_somebody_who_hangs_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(NoPrintServer, match="no print server answers"):
            ask(f"ipp://127.0.0.1:{server.getsockname()[1]}/", Operation.GET_PRINTER_ATTRIBUTES)
        thread.join()


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "printer",
        "ftp://x/",
        "ipp:///run/cups.sock/",
        "ipp://x:y/",
        "ipp://[/",
        "ipp://ö/",
        "ipp://a b/",
        "ipp://a/\t",
    ],
)
def test_what_is_no_address(uri: str):
    with pytest.raises(BadUsage, match="no address of a printer"):
        ask(uri, Operation.GET_PRINTER_ATTRIBUTES)
