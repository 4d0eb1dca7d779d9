"""The settings of a job: which paper and resolution a printer is asked for, and when it is not asked at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from calibration.errors import MediaRefused, PrinterStopped, PrintRefused
from calibration.sheet import PAPERS_MM
from patches.ipp import Resolution
from patches.printers import Printer
from patches.ticket import PrintOrder, media_size_mm, ticket_for

PRINTER = Printer(
    "sim",
    "ipp://localhost/printers/sim",
    state="idle",
    media=(
        "na_letter_8.5x11in",
        "custom_min_76.2x127mm",
        "custom_max_297x432mm",
        "iso_a4_210x297mm",
        "iso_a3_297x420mm",
    ),
    resolutions=(Resolution(300, 300), Resolution(600, 600), Resolution(1200, 1200), Resolution(1200, 600)),
    scalings=("auto", "fit", "none"),
    formats=("application/pdf",),
    one_sided=True,
    number_up=True,
)
A4 = PrintOrder("sheet", b"%PDF", 210, 297)
STANDARD = {
    "A5": "iso_a5_148x210mm",
    "A4": "iso_a4_210x297mm",
    "A3": "iso_a3_297x420mm",
    "A2": "iso_a2_420x594mm",
    "Letter": "na_letter_8.5x11in",
    "Legal": "na_legal_8.5x14in",
    "Tabloid": "na_ledger_11x17in",
}


def settings(printer: Printer, order: PrintOrder = A4) -> dict[str, object]:
    return {setting.name: setting.values[0] for setting in ticket_for(printer, order).settings}


def test_all_that_touches_the_scale_is_set():
    assert settings(PRINTER) == {
        "media": "iso_a4_210x297mm",
        "print-scaling": "none",
        "printer-resolution": Resolution(600, 600),
        "sides": "one-sided",
        "number-up": 1,
    }


def test_what_a_printer_does_not_know_is_not_set():
    bare = Printer("p", "ipp://p/", scalings=("none",))
    assert settings(bare) == {"media": "custom_sheet_210x297mm", "print-scaling": "none"}


@pytest.mark.parametrize("paper", PAPERS_MM)
def test_every_paper_of_ours_is_found_by_its_size(paper: str):
    width, height = PAPERS_MM[paper]
    printer = replace(PRINTER, media=tuple(STANDARD.values()))
    assert settings(printer, replace(A4, width_mm=width, height_mm=height))["media"] == STANDARD[paper]


def test_a_page_that_lies_takes_the_same_paper():
    assert settings(PRINTER, replace(A4, width_mm=420, height_mm=297))["media"] == "iso_a3_297x420mm"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("iso_a4_210x297mm", (210, 297)),
        ("na_letter_8.5x11in", (215.9, 279.4)),
        ("custom_max_297x432mm", None),
        ("A4", None),
        ("auto", None),
        ("", None),
    ],
)
def test_sizes_in_names(name: str, size: tuple[float, float] | None):
    assert media_size_mm(name) == (size if size is None else pytest.approx(size))


@pytest.mark.parametrize(
    ("offered", "wish", "taken"),
    [
        (PRINTER.resolutions, None, Resolution(600, 600)),
        (PRINTER.resolutions, 1200, Resolution(1200, 1200)),
        ((Resolution(1200, 1200), Resolution(2400, 2400)), None, Resolution(1200, 1200)),
        ((Resolution(1200, 600),), None, None),
        ((Resolution(118, 118, 4),), 300, Resolution(118, 118, 4)),
        ((), None, None),
        ((), 300, Resolution(300, 300)),
    ],
)
def test_the_resolution(offered: tuple[Resolution, ...], wish: int | None, taken: Resolution | None):
    assert ticket_for(replace(PRINTER, resolutions=offered), replace(A4, dpi=wish)).resolution == taken


REFUSALS = {
    "stopped": ({"state": "stopped", "reasons": ("paused",), "message": "Jam"}, {}, PrinterStopped, r"\(paused, Jam\)"),
    "rejecting": ({"accepting": False}, {}, PrintRefused, "takes no jobs"),
    "no PDF": ({"formats": ("image/urf",)}, {}, PrintRefused, "takes no PDF, only image/urf"),
    "scales": ({"scalings": ("fit",)}, {}, PrintRefused, "no print-scaling=none, it offers fit"),
    "says nothing on scaling": ({"scalings": ()}, {}, PrintRefused, "no choice at all"),
    "paper": ({}, {"width_mm": 420, "height_mm": 594}, MediaRefused, "no paper of 420 x 594 mm; it has na_letter"),
    "paper, almost": ({}, {"width_mm": 212}, MediaRefused, "no paper of 212 x 297 mm"),
    "resolution": ({}, {"dpi": 720}, PrintRefused, "cannot print 720 dpi; it offers 300x300, 600x600"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str):
    printer, order, kind, words = REFUSALS[case]
    with pytest.raises(PrintRefused if kind is not PrinterStopped else PrinterStopped, match=words) as caught:
        ticket_for(replace(PRINTER, **printer), replace(A4, **order))
    assert type(caught.value) is kind
    assert caught.value.hint
