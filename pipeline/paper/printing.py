"""What `dpcam print` does with a sheet: to a printer, or through a printer's ICC profile on to the screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from calibration.errors import BadInput
from calibration.files import read_bytes, write_bytes
from calibration.sheet import ARMS, paper_size_mm
from patches.pdf import sheet_pdf, texture_png
from patches.printers import find_printer
from patches.printing import Patience, PrintedJob, Say, print_document
from patches.proof import Gamut, gamut_of, read_profile, soft_proof
from patches.raster import rasterize
from patches.ticket import PrintOrder, Ticket, validate
from pipeline.lab import Lab
from pipeline.paper.sheets import MadeSheet, Printed, find_patch, make_arm_sheet, make_patch_sheet, printed_on

PROOF_DPI = 150


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to print to: a queue of the server, or a printer's own address; ``dpi``: None for its usual resolution.

    ``user``: whose job it will be.
    """

    printer: str
    server: str
    user: str
    dpi: int | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True, slots=True)
class Proof:
    """A soft proof's picture, by which profile, and how far from the patch's colors the printed ones are."""

    picture: Path
    profile: str
    gamut: Gamut


def make_named_sheet(lab: Lab, name: str, out: Path | None, *, write: bool) -> MadeSheet:
    """The sheet of a control arm, else of the patch for the label ``name``."""
    make = make_arm_sheet if name in ARMS else make_patch_sheet
    return make(lab, name, out, write=write)


def print_sheet(made: MadeSheet, to: Destination, say: Say) -> PrintedJob:
    """Print a sheet that has been written. Errors as for :func:`patches.printing.print_document`."""
    order = _order(made, read_bytes(made.pdf), to)
    return print_document(find_printer(to.printer, to.server), order, to.patience, say)


def check_print(made: MadeSheet, to: Destination) -> Ticket:
    """What :func:`print_sheet` would set, after the printer was asked whether it would take the job."""
    return validate(find_printer(to.printer, to.server), _order(made, b"", to))


def proof_sheet(lab: Lab, name: str, made: MadeSheet, profile: Path, *, write: bool) -> Proof:
    """How the sheet of ``name`` would look printed, and which of its colors cannot be printed.

    Texels are counted, not pixels: the ruler and the strip are not the patch. :class:`BadInput` for a bad profile, and
    for the arm ``bare``, which prints no colors.
    """
    printer, printed = read_profile(profile), _printed(lab, name)
    if printed.texture is None:
        raise BadInput(f"the arm {name!r} prints no colors, there is nothing to proof")
    gamut = gamut_of(printed.texture[printed.geometry.ring()], printer)
    picture = made.pdf.with_name(f"{made.pdf.stem}-proof.png")
    if write:
        page = rasterize(sheet_pdf(made.sheet, printed.texture), PROOF_DPI)
        write_bytes(picture, texture_png(soft_proof(page, printer)))
    return Proof(picture, printer.description, gamut)


def _printed(lab: Lab, name: str) -> Printed:
    if name in ARMS:
        return printed_on(lab, name)
    document, texture = find_patch(lab, name)
    return Printed(texture, document.geometry, document.name)


def _order(made: MadeSheet, pdf: bytes, to: Destination) -> PrintOrder:
    sheet, tiles = made.sheet, made.sheet.tiles
    title = f"dpcam {sheet.id} {uuid4().hex[:8]}"
    # Behind the tiles comes the page that says how they go together.
    pages = tiles.columns * tiles.rows + 1 if tiles else 1
    return PrintOrder(title, pdf, *paper_size_mm(sheet.paper), pages=pages, dpi=to.dpi, user=to.user)
