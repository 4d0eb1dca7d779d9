"""The printers that there are: those of a CUPS server, and those at an address of their own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from calibration.errors import BadUsage, PrinterUnknown, PrintRefused
from patches.ipp import Answer, Attributes, Operation, Resolution, Status, Tag, ask, attribute

STATES = {3: "idle", 4: "processing", 5: "stopped"}
ASKED = (
    "printer-name",
    "printer-info",
    "printer-state",
    "printer-state-reasons",
    "printer-state-message",
    "printer-is-accepting-jobs",
    "media-supported",
    "media-ready",
    "printer-resolution-supported",
    "print-scaling-supported",
    "document-format-supported",
    "sides-supported",
    "number-up-supported",
    "device-uri",
)
LOOPBACK = ("localhost", "127.0.0.1", "::1")
REQUESTED = attribute("requested-attributes", Tag.KEYWORD, *ASKED)


@dataclass(frozen=True, slots=True)
class Printer:
    """What a printer says about itself; what it does not say is empty.

    ``state`` is idle, processing, stopped or unknown; ``media`` are PWG names (``iso_a4_210x297mm``), ``ready`` those
    that are loaded; ``number_up``: whether it can put several pages on a sheet; ``queue``: whether it is
    a server's, with a printer behind it, and ``behind`` the address of that one where it speaks IPP.
    """

    name: str
    uri: str
    info: str = ""
    state: str = "unknown"
    reasons: tuple[str, ...] = ()
    message: str = ""
    accepting: bool = True
    media: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()
    resolutions: tuple[Resolution, ...] = ()
    scalings: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    one_sided: bool = False
    number_up: bool = False
    queue: bool = False
    behind: str = ""

    @property
    def why(self) -> str:
        """What is the matter with it, in its own words; empty when it says nothing."""
        return ", ".join(dict.fromkeys(filter(None, (*self.reasons, self.message))))


def list_printers(server: str) -> tuple[Printer, ...]:
    """The printers of a CUPS server (``HOST[:PORT]``), by name; :class:`NoPrintServer` when none answers."""
    answer = ask(f"ipp://{_host(server)}/", Operation.CUPS_GET_PRINTERS, [REQUESTED])
    if answer.status == Status.NOT_FOUND:
        return ()
    refuse_failure(answer, f"{server} does not list its printers")
    found = [_printer(each, _queue(server, each.text("printer-name"))) for each in answer.printers]
    return tuple(sorted(found, key=lambda printer: printer.name))


def find_printer(name: str, server: str) -> Printer:
    """The printer of that name at the server, or the one at an address (``ipp://…``).

    :class:`PrinterUnknown` when there is none, :class:`NoPrintServer` when nothing answers.
    """
    uri = name if "://" in name else _queue(server, name)
    answer = ask(uri, Operation.GET_PRINTER_ATTRIBUTES, [REQUESTED])
    if answer.status == Status.NOT_FOUND:
        raise _unknown(name, server)
    refuse_failure(answer, f"{name} does not say what it can do")
    return _printer(next(iter(answer.printers), Attributes()), uri)


def refuse_failure(answer: Answer, what: str) -> None:
    """:class:`PrintRefused` unless the answer is a success: ``what`` is wrong, and the printer's words."""
    if not answer.ok:
        raise PrintRefused(f"{what}: {answer.message or f'IPP status {answer.status:#06x}'}")


def _queue(server: str, name: str) -> str:
    return f"ipp://{_host(server)}/printers/{quote(name, safe='')}"


def _host(server: str) -> str:
    """``HOST[:PORT]``, as CUPS has it in ``CUPS_SERVER``, there maybe with a version of the protocol behind it."""
    host = server.partition("/version=")[0]
    if not re.fullmatch(r"[^\s/@?#]+", host):
        raise BadUsage(
            f"{server!r} is no print server; HOST[:PORT] is accepted, such as localhost:631",
            hint="no socket and no http://; a printer has its whole address: --to ipp://HOST/ipp/print",
        )
    return host


def _unknown(name: str, server: str) -> PrinterUnknown:
    if "://" in name:
        return PrinterUnknown(f"there is no printer at {name}", hint="most printers answer at ipp://HOST/ipp/print")
    known = ", ".join(printer.name for printer in list_printers(server)) or "none"
    return PrinterUnknown(f"{server} has no printer {name!r}; it has: {known}", hint="dpcam print --list")


def _printer(found: Attributes, uri: str) -> Printer:
    return Printer(
        name=found.text("printer-name") or uri,
        uri=uri,
        info=found.text("printer-info"),
        state=STATES.get(found.number("printer-state") or 0, "unknown"),
        reasons=tuple(reason for reason in found.texts("printer-state-reasons") if reason != "none"),
        message=found.text("printer-state-message"),
        accepting=found.all("printer-is-accepting-jobs") != (False,),
        media=found.texts("media-supported"),
        ready=found.texts("media-ready"),
        resolutions=found.resolutions("printer-resolution-supported"),
        scalings=found.texts("print-scaling-supported"),
        formats=found.texts("document-format-supported"),
        one_sided="one-sided" in found.texts("sides-supported"),
        number_up="number-up-supported" in found,
        queue="device-uri" in found,
        behind=_behind(found.text("device-uri"), uri),
    )


def _behind(device: str, uri: str) -> str:
    """A server's "localhost" is not ours, unless the server is."""
    address = device.partition("?")[0]
    if not address.startswith(("ipp://", "ipps://")):
        return ""
    elsewhere = urlsplit(address).hostname in LOOPBACK and urlsplit(uri).hostname not in LOOPBACK
    return "" if elsewhere else address
