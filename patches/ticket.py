"""The settings that a document is printed with: unscaled and on the right paper, or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass

from calibration.errors import MediaRefused, PrinterStopped, PrintRefused
from patches.ipp import Answer, Attribute, Operation, Resolution, Tag, ask, attribute
from patches.printers import Printer

PDF = "application/pdf"
UNSCALED = "none"
PAPER_TOLERANCE_MM = 1.0
"""Media names round inches to hundredths; no printer has two papers that close."""

USUAL_DPI = 600
"""Without a wish, the finest resolution up to this one: finer ones cost time and show on no patch."""

MM_PER_UNIT = {"mm": 1.0, "in": 25.4}
DIMENSIONS = re.compile(r"_(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)(mm|in)$")
START_HINT = "see to the printer, then start it: cupsenable PRINTER"
QUEUE_HINT = "make a CUPS queue for it: lpadmin -p NAME -E -v ADDRESS -m everywhere"


@dataclass(frozen=True, slots=True)
class PrintOrder:
    """A document whose pages all have the given size, and whose job it will be.

    ``title``: unlike that of any other job, for a printer behind a queue is asked for its job by this name. ``dpi``:
    None for the printer's usual resolution. ``user``: the one who may cancel the job.
    """

    title: str
    pdf: bytes
    width_mm: float
    height_mm: float
    pages: int = 1
    dpi: int | None = None
    user: str = "dpcam"


@dataclass(frozen=True, slots=True)
class Ticket:
    """The settings of a job, each of which must be read back from the job before anything is printed."""

    media: str
    resolution: Resolution | None
    settings: tuple[Attribute, ...]
    scaling: str = UNSCALED


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
    answer = ask(printer.uri, Operation.VALIDATE_JOB, [*job_words(order), form], job=ticket.settings, user=order.user)
    refuse_refusal(answer, printer, order)
    return ticket


def _refuse_unready(printer: Printer) -> None:
    if printer.state == "stopped":
        raise PrinterStopped(f"printer {printer.name} is stopped{because(printer)}", hint=START_HINT)
    if not printer.accepting:
        raise PrintRefused(f"printer {printer.name} takes no jobs{because(printer)}", hint="cupsaccept PRINTER")
    if printer.formats and PDF not in printer.formats:
        raise PrintRefused(f"printer {printer.name} takes no PDF, only {', '.join(printer.formats)}", hint=QUEUE_HINT)
    if UNSCALED not in printer.scalings:
        offered = ", ".join(printer.scalings) or "no choice at all"
        raise PrintRefused(f"printer {printer.name} has no print-scaling=none, it offers {offered}", hint=QUEUE_HINT)


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


def job_words(order: PrintOrder) -> list[Attribute]:
    """What a job is called, and that its settings are no mere wishes."""
    return [
        attribute("job-name", Tag.NAME, order.title),
        attribute("ipp-attribute-fidelity", Tag.BOOLEAN, True),
    ]


def refuse_refusal(answer: Answer, printer: Printer, order: PrintOrder) -> None:
    """The error for a job that is not taken, or taken with settings left out."""
    if answer.ok and not answer.unsupported.found:
        return
    if "media" in answer.unsupported:
        size = f"{order.width_mm:g} x {order.height_mm:g} mm"
        raise MediaRefused(f"printer {printer.name} refuses paper of {size}", hint="choose another one: --paper")
    without = f" with {', '.join(answer.unsupported.found)}" if answer.unsupported.found else ""
    words = f": {answer.message}" if answer.message else f": IPP status {answer.status:#06x}"
    raise PrintRefused(f"printer {printer.name} refuses the job{without}{words}", hint="dpcam print --list")


def because(printer: Printer) -> str:
    """What is the matter with it, to be put behind a sentence; empty when it says nothing."""
    return f" ({printer.why})" if printer.why else ""
