"""A sheet to a printer: at true scale or not at all, and followed until it is on paper.

Nothing is printed before the print system has read back what it was asked for: the job is made without a document,
its settings are read, and only then is the document sent. Whatever ends the wait takes the job back, so that a script
that tries again does not print twice.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from calibration.errors import (
    DpcamError,
    JobAborted,
    JobUnfinished,
    MediaRefused,
    NotPrinted,
    PrinterStopped,
    PrintRefused,
)
from patches.ipp import Answer, Attribute, Attributes, Operation, Resolution, Status, Tag, ask, attribute
from patches.printers import Printer, find_printer, refuse_failure

PDF = "application/pdf"
UNSCALED = "none"
PAPER_TOLERANCE_MM = 1.0
"""Media names round inches to hundredths; no printer has two papers that close."""

USUAL_DPI = 600
"""Without a wish, the finest resolution up to this one: finer ones cost time and show on no patch."""

MM_PER_UNIT = {"mm": 1.0, "in": 25.4}
DIMENSIONS = re.compile(r"_(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|in)$")
STOPPED, CANCELED, ABORTED, COMPLETED = 6, 7, 8, 9
JOB_STATES = {3: "waiting", 4: "held", 5: "printing", STOPPED: "stopped", 7: "canceled", 8: "aborted", 9: "completed"}
COUNTS = ("job-media-sheets-completed", "job-impressions-completed")
FOLLOWED = ("job-state", "job-state-reasons", "job-state-message", "job-printer-state-message", *COUNTS)

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PrintOrder:
    """A document whose pages all have the given size; ``dpi``: None for the printer's usual resolution."""

    title: str
    pdf: bytes
    width_mm: float
    height_mm: float
    pages: int = 1
    dpi: int | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """The settings of a job, each of which must be read back from the job before anything is printed."""

    media: str
    resolution: Resolution | None
    settings: tuple[Attribute, ...]
    scaling: str = UNSCALED


@dataclass(frozen=True, slots=True)
class PrintedJob:
    """A job that ended well. ``sheets``: as the print system counted them, None when it does not count."""

    number: int
    ticket: Ticket
    sheets: int | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a job, and by which clock."""

    wait_s: float = 300.0
    poll_s: float = 0.5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def ticket_for(printer: Printer, order: PrintOrder) -> Ticket:
    """The settings to print with: unscaled, one page to a sheet, on paper of the page's size.

    :class:`PrinterStopped`, :class:`MediaRefused` or :class:`PrintRefused` when that cannot be.
    """
    _refuse_unready(printer)
    media, resolution = _media(printer, order), _resolution(printer, order.dpi)
    settings = [attribute("media", Tag.KEYWORD, media), attribute("print-scaling", Tag.KEYWORD, UNSCALED)]
    if resolution:
        settings.append(attribute("printer-resolution", Tag.RESOLUTION, resolution))
    # What a server may have set for all jobs of a queue, and must not be for this one.
    if printer.one_sided:
        settings.append(attribute("sides", Tag.KEYWORD, "one-sided"))
    if printer.number_up:
        settings.append(attribute("number-up", Tag.INTEGER, 1))
    return Ticket(media, resolution, tuple(settings))


def validate(printer: Printer, order: PrintOrder) -> Ticket:
    """Ask the printer whether it would take the job; nothing is printed. Errors as for :func:`ticket_for`."""
    ticket = ticket_for(printer, order)
    form = attribute("document-format", Tag.MIME_TYPE, PDF)
    answer = ask(printer.uri, Operation.VALIDATE_JOB, [*_words(order), form], job=ticket.settings)
    _refuse_refusal(answer, printer, order)
    return ticket


def print_document(printer: Printer, order: PrintOrder, patience: Patience, say: Say) -> PrintedJob:
    """Print, and wait until the job has ended; ``say`` is told what the job is doing.

    Before anything is printed: :class:`PrinterStopped`, :class:`MediaRefused`, :class:`PrintRefused`. Later:
    :class:`JobAborted` when printer or people ended the job, :class:`PrinterStopped` when the printer stopped with the
    job waiting, :class:`JobUnfinished` when it took too long, :class:`NotPrinted` when it "completed" without a sheet.
    """
    begin = patience.clock()
    ticket = validate(printer, order)
    answer = ask(printer.uri, Operation.CREATE_JOB, _words(order), job=ticket.settings)
    _refuse_refusal(answer, printer, order)
    job = _Job(printer, answer.jobs[0].number("job-id") or 0 if answer.jobs else 0)
    with job.taken_back():
        job.read_back(ticket)
        job.send(order.pdf)
        ended = job.follow(begin + patience.wait_s, patience, say)
    return PrintedJob(job.number, ticket, _sheets(job, ended, order), patience.clock() - begin)


@dataclass(frozen=True, slots=True)
class _Job:
    printer: Printer
    number: int

    def __str__(self) -> str:
        return f"job {self.number} on {self.printer.name}"

    def ask(self, operation: Operation, *attributes: Attribute, document: bytes = b"") -> Answer:
        number = attribute("job-id", Tag.INTEGER, self.number)
        return ask(self.printer.uri, operation, [number, *attributes], document=document)

    def attributes(self, *names: str) -> Attributes:
        answer = self.ask(
            Operation.GET_JOB_ATTRIBUTES, attribute("requested-attributes", Tag.KEYWORD, "job-id", *names)
        )
        if answer.status == Status.NOT_FOUND or not answer.jobs:
            raise NotPrinted(f"{self} is not known any more: whether it was printed cannot be told", hint="look")
        refuse_failure(answer, f"{self} does not say how it is")
        return answer.jobs[0]

    @contextlib.contextmanager
    def taken_back(self) -> Iterator[None]:
        """Within: whatever goes wrong, an interruption too, cancels the job."""
        try:
            yield
        except BaseException:
            # A job that has ended, or a server that has gone: the first error is the one to tell.
            with contextlib.suppress(DpcamError):
                self.ask(Operation.CANCEL_JOB)
            raise

    def read_back(self, ticket: Ticket) -> None:
        """:class:`PrintRefused` unless the job has every setting of the ticket."""
        found = self.attributes(*(setting.name for setting in ticket.settings))
        for setting in ticket.settings:
            if found.all(setting.name) != setting.values:
                raise PrintRefused(
                    f"{self} was asked for {_shown(setting)} and answers "
                    f"{', '.join(map(str, found.all(setting.name))) or 'nothing'}: it was taken back",
                    hint="name a queue of CUPS, or another printer",
                )

    def send(self, pdf: bytes) -> None:
        form = attribute("document-format", Tag.MIME_TYPE, PDF)
        last = attribute("last-document", Tag.BOOLEAN, True)
        answer = self.ask(Operation.SEND_DOCUMENT, form, last, document=pdf)
        refuse_failure(answer, f"{self} does not take the PDF")

    def follow(self, until: float, patience: Patience, say: Say) -> Attributes:
        """The job's attributes when it has completed."""
        while True:
            found = self.attributes(*FOLLOWED)
            state = found.number("job-state") or 0
            if state == COMPLETED:
                return found
            if state in (CANCELED, ABORTED):
                raise JobAborted(f"{self} was {JOB_STATES[state]}{_reason(found)}", hint="look at the printer")
            self._refuse_standstill(state)
            say(f"{self}: {JOB_STATES.get(state, 'unknown')}{_reason(found)}")
            if patience.clock() >= until:
                raise JobUnfinished(
                    f"{self} has not ended in {patience.wait_s:g} s, it is {JOB_STATES.get(state, 'unknown')}"
                    f"{_reason(found)}: it was taken back",
                    hint="look at the printer, or wait longer: --wait SECONDS",
                )
            patience.sleep(patience.poll_s)

    def _refuse_standstill(self, state: int) -> None:
        """:class:`PrinterStopped` when neither the job nor the printer moves any more."""
        now = find_printer(self.printer.uri, "")
        if now.state == "stopped":
            raise PrinterStopped(
                f"printer {self.printer.name} stopped{_because(now)}; {self} was taken back", hint=START_HINT
            )


START_HINT = "see to the printer, then start it: cupsenable PRINTER"


def _refuse_unready(printer: Printer) -> None:
    queue = "make a CUPS queue for it: lpadmin -p NAME -E -v ADDRESS -m everywhere"
    if printer.state == "stopped":
        raise PrinterStopped(f"printer {printer.name} is stopped{_because(printer)}", hint=START_HINT)
    if not printer.accepting:
        raise PrintRefused(f"printer {printer.name} takes no jobs{_because(printer)}", hint="cupsaccept PRINTER")
    if printer.formats and PDF not in printer.formats:
        raise PrintRefused(f"printer {printer.name} takes no PDF, only {', '.join(printer.formats)}", hint=queue)
    if UNSCALED not in printer.scalings:
        offered = ", ".join(printer.scalings) or "no choice at all"
        raise PrintRefused(f"printer {printer.name} has no print-scaling=none, it offers {offered}", hint=queue)


def _media(printer: Printer, order: PrintOrder) -> str:
    """The printer's name for paper of the page's size, upright or lying; where it names none, the PWG's own form."""
    if not printer.media:
        return f"custom_sheet_{order.width_mm:g}x{order.height_mm:g}mm"
    wanted = sorted((order.width_mm, order.height_mm))
    for name in printer.media:
        size = media_size_mm(name)
        if size and all(abs(a - b) <= PAPER_TOLERANCE_MM for a, b in zip(sorted(size), wanted, strict=True)):
            return name
    raise MediaRefused(
        f"printer {printer.name} has no paper of {order.width_mm:g} x {order.height_mm:g} mm; "
        f"it has {', '.join(printer.media)}",
        hint="choose a paper that it has: --paper A4",
    )


def media_size_mm(name: str) -> tuple[float, float] | None:
    """Width and height that a PWG media name ends with; None for other names and for limits (PWG 5101.1)."""
    found = DIMENSIONS.search(name)
    if not found or name.startswith(("custom_min", "custom_max")):
        return None
    scale = MM_PER_UNIT[found[3]]
    return float(found[1]) * scale, float(found[2]) * scale


def _resolution(printer: Printer, dpi: int | None) -> Resolution | None:
    square = {each.dpi[0]: each for each in printer.resolutions if each.dpi[0] == each.dpi[1]}
    if dpi is None:
        usual = [each for each in square if each <= USUAL_DPI]
        return square[max(usual) if usual else min(square)] if square else None
    if printer.resolutions and dpi not in square:
        offered = ", ".join("x".join(map(str, each.dpi)) for each in printer.resolutions)
        raise PrintRefused(
            f"printer {printer.name} cannot print {dpi} dpi; it offers {offered}", hint="leave out --dpi"
        )
    return square.get(dpi, Resolution(dpi, dpi))


def _words(order: PrintOrder) -> list[Attribute]:
    """What a job is called, and that its settings are no mere wishes."""
    return [
        attribute("job-name", Tag.NAME, order.title),
        attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True),
    ]


def _refuse_refusal(answer: Answer, printer: Printer, order: PrintOrder) -> None:
    """The error for a job that is not taken, or taken with settings left out."""
    if answer.ok and not answer.unsupported.found:
        return
    if "media" in answer.unsupported:
        size = f"{order.width_mm:g} x {order.height_mm:g} mm"
        raise MediaRefused(f"printer {printer.name} refuses paper of {size}", hint="choose another one: --paper")
    without = f" with {', '.join(answer.unsupported.found)}" if answer.unsupported.found else ""
    words = f": {answer.message}" if answer.message else f": IPP status {answer.status:#06x}"
    raise PrintRefused(f"printer {printer.name} refuses the job{without}{words}", hint="dpcam print --list")


def _sheets(job: _Job, ended: Attributes, order: PrintOrder) -> int | None:
    """How many sheets were counted; :class:`NotPrinted` when they are fewer than the pages."""
    counts = [count for name in COUNTS if (count := ended.number(name)) is not None]
    if counts and max(counts) < order.pages:
        raise NotPrinted(
            f"{job} says that it is completed, but {max(counts)} of {order.pages} sheets were printed{_reason(ended)}",
            hint="look at the printer and at its log",
        )
    return max(counts, default=None)


def _shown(setting: Attribute) -> str:
    return f"{setting.name}={', '.join(map(str, setting.values))}"


def _because(printer: Printer) -> str:
    return f" ({printer.why})" if printer.why else ""


def _reason(job: Attributes) -> str:
    names = ("job-printer-state-message", "job-state-message", "job-state-reasons")
    words = [text.strip() for name in names for text in job.texts(name) if text.strip() not in ("", "none")]
    return f" ({', '.join(dict.fromkeys(words))})" if words else ""
