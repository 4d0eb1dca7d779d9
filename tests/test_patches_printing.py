"""A sheet through a real print server to a printer: what arrives has its size, and what goes wrong has its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pypdfium2
import pytest
from servers.print_system import (
    OUT_OF_CYAN,
    OUT_OF_PAPER,
    PRINTS_NOTHING,
    PrintSystem,
    SimulatedPrinter,
    free_port,
    print_system,
    print_system_missing,
    wait_for,
)
from test_patches_pdf import order as sheet_order
from test_patches_pdf import pixel_mm, rasterize, texture

from calibration.errors import (
    DpcamError,
    JobAborted,
    JobUnfinished,
    MediaRefused,
    NoPrintServer,
    NotPrinted,
    PrinterStopped,
    PrinterUnknown,
    PrintRefused,
)
from calibration.sheet import Sheet
from calibration.tags import detect_full, to_gray
from patches.ipp import Attributes, Operation, Resolution, Tag, ask, attribute
from patches.layout import lay_out
from patches.pdf import sheet_pdf
from patches.printers import find_printer, list_printers
from patches.printing import Patience, PrintedJob, print_document
from patches.ticket import PrintOrder, validate

pytestmark = pytest.mark.skipif(bool(print_system_missing()), reason=print_system_missing() or "there is one")

A4, CANCELED, COMPLETED = "iso_a4_210x297mm", 7, 9
SOON = Patience(wait_s=20, poll_s=0.1)


@pytest.fixture(scope="module")
def system() -> Iterator[PrintSystem]:
    with print_system() as running:
        yield running


@pytest.fixture(scope="module")
def queue(system: PrintSystem) -> SimulatedPrinter:
    """The printer behind the queue "sim"."""
    return system.printer("sim")


@pytest.fixture(scope="module")
def knowing(system: PrintSystem) -> SimulatedPrinter:
    """A printer without a queue."""
    return system.knowing_printer("knowing")


@pytest.fixture(autouse=True)
def as_new(queue: SimulatedPrinter, knowing: SimulatedPrinter, system: PrintSystem) -> Iterator[None]:
    yield
    queue.behave()
    knowing.behave()
    for command in ("cupsenable", "cupsaccept"):
        system.run(command, "sim")


@pytest.fixture(scope="module")
def sheet() -> Sheet:
    return lay_out(sheet_order())


@pytest.fixture(scope="module")
def order(sheet: Sheet) -> PrintOrder:
    return PrintOrder(sheet.id, sheet_pdf(sheet, texture()), sheet.width_mm, sheet.height_mm)


def print_on(name: str, system: PrintSystem, order: PrintOrder, patience: Patience = SOON) -> PrintedJob:
    return print_document(find_printer(name, system.server), named(order), patience, lambda words: None)


def named(order: PrintOrder) -> PrintOrder:
    """The order under a title that no other has."""
    return replace(order, title=f"{order.title} {uuid4()}")


def job_attributes(uri: str, number: int, *names: str) -> Attributes:
    """What the print system says about a job; asked as the one whose job it is."""
    wanted = [attribute("job-id", Tag.INTEGER, number), attribute("requested-attributes", Tag.KEYWORD, *names)]
    return ask(uri, Operation.GET_JOB_ATTRIBUTES, wanted).jobs[0]


def last_job(uri: str) -> int:
    return max(job.number("job-id") for which in ("completed", "not-completed") for job in jobs(uri, which))


def jobs(uri: str, which: str) -> tuple[Attributes, ...]:
    return ask(uri, Operation.GET_JOBS, [attribute("which-jobs", Tag.KEYWORD, which)]).jobs


def boxes_mm(document: Path) -> np.ndarray:
    """``(2, 4)`` media box and crop box of the only page: left, bottom, right, top."""
    opened = pypdfium2.PdfDocument(document)
    try:
        (page,) = opened
        return np.array([page.get_mediabox(), page.get_cropbox()]) * 25.4 / 72
    finally:
        opened.close()


def shift_mm(pdf: bytes, sheet: Sheet) -> float:
    """How far the farthest tag corner of the page is from where the sheet says, mm."""
    pixels = rasterize(pdf)
    seen = {tag.id: tag.corners for tag in detect_full(to_gray(pixels))}
    assert set(seen) == sheet.tag_ids
    scale = pixel_mm(pixels, sheet)
    return max(
        float(np.abs((seen[tag] + 0.5) * scale - corners).max()) for tag, corners in sheet.tag_corners_mm().items()
    )


# A sheet that is printed


def test_what_the_printer_gets_has_the_size_of_the_sheet(system, queue, sheet, order):
    before = len(queue.received())
    done = print_on("sim", system, order)
    assert done.sheets == 1
    *_, document = queue.received()
    assert len(queue.received()) == before + 1
    np.testing.assert_allclose(boxes_mm(document), [[0, 0, sheet.width_mm, sheet.height_mm]] * 2, atol=0.005)
    assert shift_mm(document.read_bytes(), sheet) < 0.05


def test_scaling_is_off_paper_and_resolution_are_set_as_the_job_itself_says(system, queue, order):
    done = print_on("sim", system, replace(order, dpi=600))
    names = ("media", "print-scaling", "printer-resolution", "sides", "number-up")
    said = job_attributes(find_printer("sim", system.server).uri, done.number, *names)
    assert said.all("print-scaling") == ("none",)
    assert said.all("media") == (A4,)
    assert said.all("printer-resolution") == (Resolution(600, 600),)
    assert said.all("sides") == ("one-sided",)
    assert said.all("number-up") == (1,)
    assert done.ticket.resolution.dpi == (600, 600)
    settings = queue.settings(queue.received()[-1])
    assert "{x-dimension=21000 y-dimension=29700}" in settings["IPP_MEDIA_COL"]


def test_the_measurement_would_see_a_scaled_page(system, queue, sheet, order, tmp_path):
    path = tmp_path / "sheet.pdf"
    path.write_bytes(order.pdf)
    before = len(queue.received())
    system.run("lp", "-d", "sim", "-o", "media=A4", "-o", "print-scaling=fit", str(path))
    wait_for(lambda: len(queue.received()) > before, "the job")
    assert shift_mm(queue.received()[-1].read_bytes(), sheet) > 1


def test_a_printer_is_printed_on_without_a_server(system, knowing, sheet, order):
    done = print_on(knowing.uri, system, order)
    assert (done.sheets, done.ticket.media, done.ticket.resolution.dpi) == (1, A4, (600, 600))
    *_, document = knowing.received()
    assert document.read_bytes() == order.pdf
    settings = knowing.settings(document)
    assert (settings["IPP_PRINT_SCALING"], settings["IPP_MEDIA"]) == ("none", A4)
    assert settings["IPP_PRINTER_RESOLUTION"] == "600dpi"


def test_it_is_told_what_the_job_does(system, order):
    heard = []
    print_document(find_printer("sim", system.server), named(order), SOON, heard.append)
    assert any("printing" in words for words in heard)


def test_a_question_prints_nothing(system, queue, order):
    before = len(queue.received())
    assert validate(find_printer("sim", system.server), order).media == A4
    assert len(queue.received()) == before


# Printers


def test_printers_are_listed(system, queue):
    listed = {printer.name: printer for printer in list_printers(system.server)}
    assert listed["sim"] == find_printer("sim", system.server)
    assert A4 in listed["sim"].media
    assert listed["sim"].state == "idle"
    assert [each.dpi for each in listed["sim"].resolutions] == [(600, 600)]


def test_a_server_may_have_no_printers(system, queue):
    with pytest.raises(PrinterUnknown, match=r"'none such'; it has: .*sim"):
        find_printer("none such", system.server)


# What goes wrong, and by which name


def stopped_before(system: PrintSystem, queue: SimulatedPrinter) -> str:
    system.run("cupsdisable", "-r", "being cleaned", "sim")
    return "sim"


def taking_no_jobs(system: PrintSystem, queue: SimulatedPrinter) -> str:
    system.run("cupsreject", "-r", "on holiday", "sim")
    return "sim"


def aborted_by_the_printer(system: PrintSystem, queue: SimulatedPrinter) -> str:
    queue.behave(OUT_OF_CYAN)
    return "sim"


def completed_without_a_sheet(system: PrintSystem, queue: SimulatedPrinter) -> str:
    """A queue without a driver whose printer swallows what it gets: CUPS calls such a job completed."""
    system.queue("swallows", "file:///dev/null", "raw")
    return "swallows"


def not_there(system: PrintSystem, queue: SimulatedPrinter) -> str:
    return "elsewhere"


def no_server(system: PrintSystem, queue: SimulatedPrinter) -> str:
    return f"ipp://127.0.0.1:{free_port()}/printers/sim"


def not_told_to_scale(system: PrintSystem, queue: SimulatedPrinter) -> str:
    """The printer behind the queue, asked directly: it does not know print-scaling."""
    return queue.uri


FAILURES = {
    "stopped": (stopped_before, PrinterStopped, "sim is stopped .*being cleaned"),
    "takes no jobs": (taking_no_jobs, PrintRefused, "takes no jobs .*on holiday"),
    "aborted": (aborted_by_the_printer, JobAborted, r"(sim was canceled .*at printer)|(was aborted .*out of cyan)"),
    "nothing printed": (completed_without_a_sheet, NotPrinted, "completed, but 0 of 1 sheets"),
    "unknown": (not_there, PrinterUnknown, "no printer 'elsewhere'"),
    "no server": (no_server, NoPrintServer, "no print server answers"),
    "cannot but scale": (not_told_to_scale, PrintRefused, "no print-scaling=none"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_each_failure_has_its_own_error(case, system, queue, order):
    prepare: Callable[[PrintSystem, SimulatedPrinter], str]
    prepare, kind, words = FAILURES[case]
    name = prepare(system, queue)
    with pytest.raises(DpcamError, match=words) as caught:
        print_on(name, system, order)
    assert type(caught.value) is kind
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_codes_of_the_failures_differ():
    codes = [kind.code for _, kind, _ in FAILURES.values()]
    assert len(set(codes) - {"print-refused"}) == len(codes) - codes.count("print-refused")


def test_paper_that_the_queue_does_not_have_is_refused_before_anything_is_sent(system, queue, order):
    before = len(queue.received())
    with pytest.raises(MediaRefused, match=r"no paper of 297 x 420 mm; it has .*iso_a4"):
        print_on("sim", system, replace(order, width_mm=297, height_mm=420))
    assert len(queue.received()) == before


def test_paper_that_the_printer_itself_refuses(system, knowing, order):
    """Its papers were changed since it was asked for them."""
    stale = replace(find_printer(knowing.uri, system.server), media=("iso_a2_420x594mm",))
    with pytest.raises(MediaRefused, match="refuses paper of 420 x 594 mm"):
        print_document(stale, replace(order, width_mm=420, height_mm=594), SOON, lambda words: None)


def test_aborted_by_a_printer_without_a_server(system, knowing, order):
    knowing.behave(OUT_OF_CYAN)
    with pytest.raises(JobAborted, match=r"aborted .*out of cyan"):
        print_on(knowing.uri, system, order)


def test_the_server_is_not_believed_when_the_printer_knows_better(system, queue, order):
    """CUPS counts pages as it sends them: it calls this job completed, with one sheet."""
    queue.behave(PRINTS_NOTHING)
    with pytest.raises(NotPrinted, match=r"job \d+ on the printer behind sim .* 0 of 1 sheets"):
        print_on("sim", system, order)
    uri = find_printer("sim", system.server).uri
    said = job_attributes(uri, last_job(uri), "job-state", "job-media-sheets-completed")
    assert (said.number("job-state"), said.number("job-media-sheets-completed")) == (COMPLETED, 1)


def test_each_of_several_jobs_that_the_printer_aborts_is_noticed(system, queue, order):
    """CUPS 2.4 calls about every second one completed, when the printer is quick."""
    queue.behave(OUT_OF_CYAN)
    for _ in range(4):
        with pytest.raises(JobAborted):
            print_on("sim", system, order)


def test_who_says_that_a_job_is_completed(system, queue, knowing, order):
    assert print_on("sim", system, order).confirmed
    assert print_on(knowing.uri, system, order).confirmed
    printer = replace(find_printer("sim", system.server), behind=f"ipp://127.0.0.1:{free_port()}/")
    assert not print_document(printer, named(order), SOON, lambda words: None).confirmed


def test_completed_without_a_sheet_by_a_printer_without_a_server(system, knowing, order):
    knowing.behave(PRINTS_NOTHING)
    with pytest.raises(NotPrinted, match="0 of 1 sheets") as caught:
        print_on(knowing.uri, system, order)
    assert caught.value.code == "not-printed"


def test_some_of_the_sheets_are_not_all(system, knowing, order):
    with pytest.raises(NotPrinted, match="1 of 3 sheets"):
        print_on(knowing.uri, system, replace(order, pages=3))


def test_a_job_that_takes_too_long_is_taken_back(system, order):
    system.queue("far", f"ipp://localhost:{free_port()}/ipp/print", "raw")
    with pytest.raises(JobUnfinished, match=r"not ended in 1 s.*taken back"):
        print_on("far", system, order, Patience(wait_s=1, poll_s=0.1))
    assert_canceled(find_printer("far", system.server).uri)


def test_a_printer_that_stops_with_the_job_waiting(system, queue, order):
    queue.behave(OUT_OF_PAPER)
    printer = find_printer("sim", system.server)

    def stop(words: str) -> None:
        if "printing" in words:
            system.run("cupsdisable", "sim")

    with pytest.raises(PrinterStopped, match=r"stopped .*paused.*taken back"):
        print_document(printer, named(order), SOON, stop)
    assert_canceled(printer.uri)


def test_an_interruption_takes_the_job_back(system, queue, order):
    queue.behave(OUT_OF_PAPER)
    printer = find_printer("sim", system.server)

    def interrupt(words: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        print_document(printer, named(order), SOON, interrupt)
    assert_canceled(printer.uri)


def test_a_job_that_somebody_cancels(system, queue, order):
    queue.behave(OUT_OF_PAPER)
    with pytest.raises(JobAborted, match="was canceled"):
        print_document(
            find_printer("sim", system.server), named(order), SOON, lambda words: system.run("cancel", "sim")
        )


def test_a_resolution_that_the_printer_does_not_have(system, order):
    with pytest.raises(PrintRefused, match="cannot print 1200 dpi; it offers 600x600"):
        print_on("sim", system, replace(order, dpi=1200))


def assert_canceled(uri: str) -> None:
    said = job_attributes(uri, last_job(uri), "job-state")
    assert said.number("job-state") == CANCELED
