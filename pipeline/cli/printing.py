"""``dpcam print``: from a patch to a sticker on paper."""

from __future__ import annotations

import getpass
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration.errors import BadUsage, DpcamError
from pipeline.cli.command import DryRunOption, LabOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.cli.paper import (
    DateOption,
    OperatorOption,
    PaperOption,
    PngOption,
    TilesOption,
    sheet_flags,
    sheet_result,
)
from pipeline.cli.verify import below_print
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from patches.printers import Printer
    from patches.printing import PrintedJob
    from patches.ticket import Ticket
    from pipeline.paper.printing import Destination, Proof
    from pipeline.paper.sheets import MadeSheet

MAX_DPI = 9600
DEFAULT_SERVER = "localhost:631"
ServerOption = Annotated[
    str, typer.Option("--server", help="Print server.", metavar="HOST[:PORT]", envvar="CUPS_SERVER")
]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "print", below=below_print)(print_patch)


def print_patch(
    label: Annotated[
        str | None,
        typer.Argument(help="The class, or a control arm; the lab's target by default.", metavar="LABEL"),
    ] = None,
    paper: PaperOption = None,
    tiles: TilesOption = None,
    date: DateOption = None,
    operator: OperatorOption = None,
    png: PngOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder; the lab's sheets/ by default.")] = None,
    to: Annotated[
        str | None, typer.Option(help="Print it: a queue of CUPS, or ipp://… of a printer.", metavar="PRINTER")
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the printers, and do nothing else.")] = False,
    server: ServerOption = DEFAULT_SERVER,
    dpi: Annotated[
        int | None, typer.Option(help="Resolution; the printer's usual one by default.", min=1, max=MAX_DPI)
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait; then the job is taken back.", min=0)] = 300.0,
    proof: Annotated[
        Path | None, typer.Option(help="ICC profile of the printer: how the sheet would look, as PNG.")
    ] = None,
    lab: LabOption = Path(),
    dry_run: DryRunOption = False,
) -> Result:
    """Lay out a patch's sheet at true scale: patch, AprilTags, ruler, color strip, cut marks, serial; and print it."""
    from patches.printing import Patience
    from pipeline.paper.printing import Destination, make_named_sheet, proof_sheet

    if list_:
        if label or to is not None or proof:
            raise BadUsage("--list stands alone: it prints, proofs and lays out nothing")
        return _printers(server)
    if not math.isfinite(wait):
        raise BadUsage(f"--wait is {wait}; a number of seconds is accepted")
    opened = enter_lab(lab, sheet_flags(paper, tiles, date, operator))
    name = label or opened.config.target.label
    made = make_named_sheet(opened, name, out, write=not dry_run)
    result = sheet_result(made, png, dry_run=dry_run)
    if proof:
        result = _with_proof(result, proof_sheet(opened, name, made, proof, write=not dry_run))
    if to is not None:
        destination = Destination(to, server, _user(), dpi, Patience(wait_s=wait))
        result = _with_job(result, made, destination, dry_run=dry_run)
    return result


def _user() -> str:
    """Who is printing; a process in a bare container may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "dpcam"


def _printers(server: str) -> Result:
    from patches.printers import list_printers

    found = list_printers(server)
    rows = tuple((each.name, each.state, each.why, ", ".join(each.media), _dpi_words(each)) for each in found)
    table = Table(f"Printers at {server}", ("name", "state", "", "media", "dpi"), rows)
    lines = [] if found else [f"{server} has no printers; to add one: lpadmin -p NAME -E -v ADDRESS -m everywhere"]
    return Result(
        data={"server": server, "printers": [_printer_data(each) for each in found]},
        lines=lines,
        tables=[table] if found else [],
    )


def _printer_data(printer: Printer) -> dict[str, Any]:
    return {
        "name": printer.name,
        "uri": printer.uri,
        "state": printer.state,
        "why": printer.why,
        "accepting": printer.accepting,
        "media": list(printer.media),
        "media_ready": list(printer.ready),
        "resolutions_dpi": [list(each.dpi) for each in printer.resolutions],
        "scaling": list(printer.scalings),
    }


def _dpi_words(printer: Printer) -> str:
    return ", ".join(dict.fromkeys("x".join(map(str, dict.fromkeys(each.dpi))) for each in printer.resolutions))


def _with_proof(result: Result, proof: Proof) -> Result:
    gamut = proof.gamut
    data = {
        "picture": str(proof.picture),
        "profile": proof.profile,
        "out_of_gamut": gamut.out_of_gamut,
        "limit_delta_e": gamut.limit,
        "delta_e": {"mean": gamut.mean, "median": gamut.median, "p95": gamut.p95, "max": gamut.worst},
    }
    line = (
        f"{100 * gamut.out_of_gamut:.0f} % of the texels are out of gamut on {proof.profile} (CIEDE2000 over "
        f"{gamut.limit:g}; median {gamut.median:.1f}, 95 % below {gamut.p95:.1f}): {proof.picture}"
    )
    return replace(result, data={**result.data, "proof": data}, lines=[*result.lines, line])


def _with_job(result: Result, made: MadeSheet, to: Destination, *, dry_run: bool) -> Result:
    """Print, or ask whether it could be printed; an error leaves what was written in the answer."""
    from pipeline.paper.printing import check_print, print_sheet

    try:
        if dry_run:
            ticket = check_print(made, to)
            data, line = _ticket_data(to, ticket), f"would print on {to.printer}: {_ticket_words(ticket)}"
        else:
            with progress_bar("printing") as bar:
                job = print_sheet(made, to, lambda words: bar(0.0, words))
            data, line = {**_ticket_data(to, job.ticket), **_job_data(job)}, _job_words(to, job)
    except DpcamError as error:
        return replace(result, errors=[error])
    return replace(result, data={**result.data, "job": data}, lines=[*result.lines, line])


def _job_data(job: PrintedJob) -> dict[str, Any]:
    return {
        "number": job.number,
        "sheets": job.sheets,
        "confirmed_by": "printer" if job.confirmed else "server",
        "seconds": round(job.seconds, 1),
    }


def _job_words(to: Destination, job: PrintedJob) -> str:
    counted = "sheets not counted" if job.sheets is None else f"sheets counted: {job.sheets}"
    doubt = "" if job.confirmed else "; the server says so, its printer could not be asked: look at the tray"
    return f"printed on {to.printer} as job {job.number}: {_ticket_words(job.ticket)}; {counted}{doubt}"


def _ticket_data(to: Destination, ticket: Ticket) -> dict[str, Any]:
    dpi = list(ticket.resolution.dpi) if ticket.resolution else None
    return {"printer": to.printer, "media": ticket.media, "scaling": ticket.scaling, "resolution_dpi": dpi}


def _ticket_words(ticket: Ticket) -> str:
    at = f", {'x'.join(map(str, ticket.resolution.dpi))} dpi" if ticket.resolution else ""
    return f"{ticket.media}, scaling {ticket.scaling}{at}"
