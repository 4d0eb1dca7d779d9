"""``dpcam capture --serve`` as the program: a plan by a script with curl alone, Ctrl-C, an address that is taken."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import ROOT, another_lab
from program import answer, ask, finished, start, wait_until

from capture.check import check_session
from capture.session import read_session

HOWTO = (ROOT / "docs" / "howto-live-page.md").read_text()
PLAN = '[plan]\ndistances_mm = [1200.0]\nyaws_deg = [0.0]\nlights = ["day"]\n'


@pytest.fixture(scope="module")
def lab(small_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = another_lab(small_lab, tmp_path_factory.mktemp("serve") / "lab", PLAN)
    settings = folder / "lab.toml"
    settings.write_text(settings.read_text().replace('uri = "sim:"', 'uri = "sim:?width=480&height=270"'))
    return folder


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_a_plan_by_the_script_of_the_howto(lab: Path, tmp_path: Path):
    here, port = another_lab(lab, tmp_path / "lab"), free_port()
    script = re.search(r"^    api=.*?^    done$", HOWTO, re.MULTILINE | re.DOTALL)[0].replace("8765", str(port))
    process = start("capture", "--rig", "operator", "--no-gate", "--serve", f":{port}", cwd=here)
    wait_until(lambda: answers(port), process)
    subprocess.run(["bash", "-c", script], check=True, timeout=200)
    done = finished(process)
    assert done.returncode == 0, done.stderr
    assert f"live page: http://127.0.0.1:{port}/" in done.stderr
    data = answer(done)["data"]
    session = read_session(here / data["session"])
    assert (data["complete"], data["frames"]) == (True, len(session.plan.shots))
    assert check_session(session.folder).complete


def test_ctrl_c_ends_a_capture_that_is_watched(lab: Path, tmp_path: Path):
    here, port = another_lab(lab, tmp_path / "lab"), free_port()
    process = start("capture", "--rig", "operator", "--serve", f"{port}", cwd=here)
    wait_until(lambda: answers(port), process)
    with socket.create_connection(("127.0.0.1", port)) as events, socket.create_connection(("127.0.0.1", port)) as seen:
        for one, path in ((events, "events"), (seen, "preview.mjpeg")):
            one.sendall(f"GET /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        heard = b""
        while b'"phase":"asking"' not in heard:
            heard += events.recv(1 << 16)
        process.send_signal(signal.SIGINT)
        done = finished(process)
    assert done.returncode == 130, done.stderr
    (session,) = (here / "sessions").iterdir()
    check = check_session(session)
    assert (check.whole, check.stopped) == (True, "SIGINT")


def test_an_address_that_is_taken_ends_it_before_it_begins(lab: Path, tmp_path: Path):
    here = another_lab(lab, tmp_path / "lab")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        error = ask("capture", "--serve", where, cwd=here, code=4)["errors"][0]
    assert (error["code"], where in error["message"], "--serve HOST:PORT" in error["hint"]) == ("not-ready", True, True)
    assert not list(here.glob("sessions/*"))
    assert ask("capture", "--serve", "rig:x", cwd=here, code=2)["errors"][0]["where"] == "--serve"
    assert ask("capture", "--serve", "--dry-run", cwd=here)["data"]["rig"] == "auto"
