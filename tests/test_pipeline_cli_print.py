"""``dpcam print``: to a printer, listed, proofed; the PDF is written whatever the printer does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import ask, data, dpcam, finished, start, wait_until
from servers.print_system import (
    OUT_OF_CYAN,
    OUT_OF_PAPER,
    PrintSystem,
    SimulatedPrinter,
    free_port,
    print_system,
    print_system_missing,
)
from test_patches_proof import SWOP, needs_swop

JOB = {"printer", "media", "scaling", "resolution_dpi", "number", "sheets", "confirmed_by", "seconds"}
PRINTER = {"name", "uri", "state", "why", "accepting", "media", "media_ready", "resolutions_dpi", "scaling"}


@pytest.fixture(scope="module")
def system() -> Iterator[PrintSystem]:
    if print_system_missing():
        pytest.skip(print_system_missing())
    with print_system() as running:
        yield running


@pytest.fixture(scope="module")
def queue(system: PrintSystem) -> SimulatedPrinter:
    return system.printer("sim")


@pytest.fixture(autouse=True)
def as_new(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "queue" in request.fixturenames:
        request.getfixturevalue("queue").behave()
        request.getfixturevalue("system").run("cupsenable", "sim")


def test_a_sheet_is_printed(fresh_lab: Path, tmp_path: Path, system: PrintSystem, queue: SimulatedPrinter):
    words = ("print", "stop", "--out", tmp_path, "--to", "sim", "--server", system.server)
    answer = data(*words, cwd=fresh_lab)
    assert set(answer["job"]) == JOB
    assert (answer["job"]["scaling"], answer["job"]["sheets"], answer["job"]["confirmed_by"]) == ("none", 1, "printer")
    assert (answer["job"]["media"], answer["job"]["resolution_dpi"]) == ("iso_a4_210x297mm", [600, 600])
    assert Path(answer["pdf"]).is_file()
    assert len(queue.received()) == 1
    owner = system.run("lpstat", "-W", "completed", "-o", "sim").split()
    assert owner[1] == "root"


def test_the_server_may_come_from_the_environment(fresh_lab: Path, system: PrintSystem, queue: SimulatedPrinter):
    listed = data("print", "--list", cwd=fresh_lab, CUPS_SERVER=system.server)
    assert listed["server"] == system.server
    (printer,) = [each for each in listed["printers"] if each["name"] == "sim"]
    assert set(printer) == PRINTER
    assert (printer["state"], printer["accepting"], printer["resolutions_dpi"]) == ("idle", True, [[600, 600]])
    assert "iso_a4_210x297mm" in printer["media"]


def test_the_list_for_people(fresh_lab: Path, system: PrintSystem, queue: SimulatedPrinter):
    shown = dpcam("print", "--list", "--server", system.server, cwd=fresh_lab)
    assert shown.returncode == 0
    assert "sim" in shown.stdout
    assert "iso_a4_210x297mm" in shown.stdout


def test_a_control_arm_is_printed_like_a_patch(
    fresh_lab: Path, tmp_path: Path, system: PrintSystem, queue: SimulatedPrinter
):
    answer = data("print", "blank", "--out", tmp_path, "--to", "sim", "--server", system.server, cwd=fresh_lab)
    assert answer["id"].startswith("blank-")
    assert answer["job"]["sheets"] == 1


def test_a_dry_run_asks_the_printer_and_prints_nothing(
    fresh_lab: Path, tmp_path: Path, system: PrintSystem, queue: SimulatedPrinter
):
    before = len(queue.received())
    words = ("print", "--out", tmp_path / "none", "--to", "sim", "--server", system.server, "--dry-run")
    assert data(*words, cwd=fresh_lab)["job"]["media"] == "iso_a4_210x297mm"
    assert not (tmp_path / "none").exists()
    assert len(queue.received()) == before
    assert ask(*words, "--paper", "A2", cwd=fresh_lab, code=4)["errors"][0]["code"] == "media-refused"


FAILURES = {
    "printer-stopped": (lambda system, queue: system.run("cupsdisable", "sim"), 20),
    "job-aborted": (lambda system, queue: queue.behave(OUT_OF_CYAN), 20),
    "job-unfinished": (lambda system, queue: queue.behave(OUT_OF_PAPER), 1),
}


@pytest.mark.parametrize("code", FAILURES)
def test_what_goes_wrong_leaves_the_pdf(
    code: str, fresh_lab: Path, tmp_path: Path, system: PrintSystem, queue: SimulatedPrinter
):
    prepare, wait_s = FAILURES[code]
    prepare(system, queue)
    words = ("print", "--out", tmp_path, "--to", "sim", "--server", system.server, "--wait", wait_s)
    envelope = ask(*words, cwd=fresh_lab, code=4)
    assert envelope["errors"][0]["code"] == code
    assert envelope["errors"][0]["hint"]
    assert Path(envelope["data"]["pdf"]).is_file()
    assert "job" not in envelope["data"]


def test_no_print_system_is_a_clear_word_and_the_pdf(fresh_lab: Path, tmp_path: Path):
    server = f"127.0.0.1:{free_port()}"
    done = dpcam("print", "--out", tmp_path, "--to", "sim", "--server", server, cwd=fresh_lab)
    assert done.returncode == 4
    assert f"no print server answers at {server}" in done.stderr
    assert "wrote" in done.stdout
    assert list(tmp_path.glob("*.pdf"))
    envelope = ask("print", "--list", "--server", server, cwd=fresh_lab, code=4)
    assert envelope["errors"][0]["code"] == "print-server"


def test_terminated_it_takes_the_job_back(
    fresh_lab: Path, tmp_path: Path, system: PrintSystem, queue: SimulatedPrinter
):
    queue.behave(OUT_OF_PAPER)
    before = len(queue.received())
    process = start("print", "--out", tmp_path, "--to", "sim", "--server", system.server, cwd=fresh_lab)
    wait_until(lambda: len(queue.received()) > before, process)
    process.terminate()
    assert finished(process).returncode == 143
    assert not system.run("lpstat", "-o", "sim")


# Proofs


@needs_swop
def test_a_proof(fresh_lab: Path, tmp_path: Path):
    proof = data("print", "stop", "--out", tmp_path, "--proof", SWOP, cwd=fresh_lab)["proof"]
    assert set(proof) == {"picture", "profile", "out_of_gamut", "limit_delta_e", "delta_e"}
    assert 0.2 < proof["out_of_gamut"] < 1
    assert proof["delta_e"]["median"] <= proof["delta_e"]["p95"] <= proof["delta_e"]["max"]
    picture = np.array(Image.open(proof["picture"]))
    np.testing.assert_allclose(np.array(picture.shape[1::-1]) / 150 * 25.4, [210, 297], atol=0.2)
    assert picture[5, 5].max() < 250, "paper is not as white as a screen"


@needs_swop
def test_paper_alone_has_no_colors_to_proof(fresh_lab: Path, tmp_path: Path):
    error = ask("print", "bare", "--out", tmp_path, "--proof", SWOP, cwd=fresh_lab, code=3)["errors"][0]
    assert "prints no colors" in error["message"]


def test_a_profile_that_is_not_there(fresh_lab: Path, tmp_path: Path):
    error = ask("print", "stop", "--out", tmp_path, "--proof", tmp_path / "x.icc", cwd=fresh_lab, code=3)["errors"][0]
    assert (error["code"], error["where"]) == ("missing-file", str(tmp_path / "x.icc"))


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("--to x --wait -1", 2),
        ("--to x --wait nan", 2),
        ("--to x --dpi 0", 2),
        ("--to x --dpi 100000000000", 2),
        ("--to ftp://x/", 2),
        ("--to x --server /run/cups/cups.sock", 2),
        ("--to x --paper B4", 3),
        ("--to ipp://127.0.0.1:1/ --out /proc/none", 4),
    ],
)
def test_wrong_words(words: str, code: int, fresh_lab: Path, tmp_path: Path):
    folder = () if "--out" in words else ("--out", tmp_path)
    error = ask("print", *words.split(), *folder, cwd=fresh_lab, code=code)["errors"][0]
    assert error["message"]
    assert error["code"] != "print-server"


def test_nothing_is_laid_out_with_a_list(fresh_lab: Path):
    error = ask("print", "stop", "--list", cwd=fresh_lab, code=2)["errors"][0]
    assert "--list" in error["message"]
