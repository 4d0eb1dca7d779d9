"""What a printer says of itself, as far as it says anything. (Real ones: test_patches_printing.py.)"""

from __future__ import annotations

import struct
from urllib.parse import urlsplit

import pytest
from test_patches_ipp import END, HEAD, value, web_server

from calibration.errors import BadUsage, PrinterUnknown, PrintRefused
from patches.ipp import CONTENT_TYPE, Group, Tag
from patches.printers import Printer, find_printer, list_printers

NOT_FOUND = bytes.fromhex("0200 0406 00000001") + END


def said(*values: bytes) -> bytes:
    return HEAD + bytes([Group.PRINTER]) + b"".join(values) + END


def found(body: bytes, host: str = "127.0.0.1") -> Printer:
    with web_server(200, CONTENT_TYPE, body, host) as uri:
        return find_printer(uri, "")


def test_a_printer_that_says_nothing():
    printer = found(HEAD + END)
    assert printer == Printer(printer.uri, printer.uri)


def test_a_printer_in_trouble():
    printer = found(
        said(
            value(Tag.ENUM, "printer-state", struct.pack(">i", 5)),
            value(Tag.KEYWORD, "printer-state-reasons", b"media-jam") + value(Tag.KEYWORD, "", b"cover-open"),
            value(0x41, "printer-state-message", b"Open tray 2"),
            value(Tag.BOOLEAN, "printer-is-accepting-jobs", b"\0"),
        )
    )
    assert (printer.state, printer.accepting) == ("stopped", False)
    assert printer.why == "media-jam, cover-open, Open tray 2"


@pytest.mark.parametrize("server", ["", "a b:631", "/run/cups/cups.sock", "http://localhost:631", "ada@localhost"])
def test_what_is_no_server_is_named(server: str):
    for look in (lambda: list_printers(server), lambda: find_printer("office", server)):
        with pytest.raises(BadUsage, match=r"is no print server; HOST\[:PORT\]"):
            look()


def test_a_server_may_be_written_as_cups_writes_it():
    with web_server(200, CONTENT_TYPE, NOT_FOUND) as uri:
        assert list_printers(f"{urlsplit(uri).netloc}/version=1.1") == ()


def test_none_is_no_reason():
    assert found(said(value(Tag.KEYWORD, "printer-state-reasons", b"none"))).why == ""


@pytest.mark.parametrize(
    ("device", "host", "behind"),
    [
        (b"ipp://printer.local:631/ipp/print", "127.0.0.1", "ipp://printer.local:631/ipp/print"),
        (b"ipp://printer.local/ipp/print?waitjob=false", "127.0.0.1", "ipp://printer.local/ipp/print"),
        (b"ipps://printer.local/ipp/print", "127.0.0.1", "ipps://printer.local/ipp/print"),
        (b"ipp://localhost:8632/ipp/print", "127.0.0.1", "ipp://localhost:8632/ipp/print"),
        (b"ipp://localhost:8632/ipp/print", "127.0.0.2", ""),
        (b"usb://EPSON/ET-2750", "127.0.0.1", ""),
        (b"file:///dev/null", "127.0.0.1", ""),
    ],
)
def test_the_printer_behind_a_queue(device: bytes, host: str, behind: str):
    printer = found(said(value(Tag.URI, "device-uri", device)), host)
    assert (printer.queue, printer.behind) == (True, behind)


def test_a_printer_that_is_not_there():
    with web_server(200, CONTENT_TYPE, NOT_FOUND) as uri, pytest.raises(PrinterUnknown, match="no printer at ipp://"):
        find_printer(uri, "")


def test_a_server_without_printers():
    with web_server(200, CONTENT_TYPE, NOT_FOUND) as uri:
        server = uri.split("/")[2]
        assert list_printers(server) == ()
        with pytest.raises(PrinterUnknown, match="has no printer 'office'; it has: none"):
            find_printer("office", server)


def test_a_server_that_fails():
    failing = bytes.fromhex("0200 0500 00000001") + END
    with web_server(200, CONTENT_TYPE, failing) as uri, pytest.raises(PrintRefused, match="IPP status 0x0500"):
        list_printers(uri.split("/")[2])
