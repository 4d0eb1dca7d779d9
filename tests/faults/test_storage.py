"""The disk is full, or can be read only; the clock is set back."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import answer, ask, dpcam, finished, start, wait_until

from faults.aftermath import journaled, nothing_lost, only_session, resumes
from faults.conftest import Lab

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def system(*words: object) -> bool:
    """Whether a command of the system did it."""
    return (
        shutil.which(str(words[0])) is not None
        and not subprocess.run([str(word) for word in words], capture_output=True).returncode
    )


@contextmanager
def mounted(folder: Path, *words: object) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    if not system("mount", *words, folder):
        pytest.skip("needs the right to mount a file system (run as root)")
    try:
        yield
    finally:
        assert system("umount", folder)


def test_the_disk_is_full(make_lab: Lab):
    lab = make_lab()
    sessions = lab / "sessions"
    with mounted(sessions, "-t", "tmpfs", "-o", "size=800k", "none"):
        full = ask("capture", "--no-gate", cwd=lab, code=4)
        assert full["errors"][0]["code"] == "disk"
        session = only_session(lab)
        said = nothing_lost(session)
        assert 0 < said["frames"] < 12
        assert system("mount", "-o", "remount,size=64m", sessions)
        resumes(lab, session, "--no-gate")


def test_the_file_system_turns_read_only(make_lab: Lab, tmp_path: Path):
    """As a kernel does that met an error on the disk: files that are open for writing are no exception."""
    lab, image = make_lab(), tmp_path / "disk"
    with image.open("wb") as disk:
        disk.truncate(32 << 20)
    if not system("mkfs.ext4", "-q", image):
        pytest.skip("needs mkfs.ext4 (Debian's e2fsprogs)")
    sessions = lab / "sessions"
    with mounted(sessions, "-o", "loop,errors=remount-ro", image):
        source = subprocess.run(
            ["findmnt", "-no", "SOURCE", sessions], capture_output=True, text=True, check=True
        ).stdout
        process = start("capture", "--no-gate", cwd=lab)
        wait_until(lambda: any(b'"frame"' in each.read_bytes() for each in sessions.glob("*/events.jsonl")), process)
        Path("/sys/fs/ext4", Path(source.strip()).name, "trigger_fs_error").write_text("1")
        broken = answer(finished(process))
        assert broken["exit_code"] == 4
        assert broken["errors"][0]["code"] in ("disk", "not-ready")
        assert nothing_lost(only_session_below(sessions))["frames"] > 0
    system("fsck.ext4", "-fy", image)  # ends with 1 where it mended something
    with mounted(sessions, "-o", "loop", image):
        resumes(lab, only_session_below(sessions), "--no-gate")


def only_session_below(sessions: Path) -> Path:
    (session,) = (each for each in sessions.iterdir() if each.name != "lost+found")
    return session


@pytest.mark.skipif(FAKETIME is None, reason="needs libfaketime (Debian's faketime)")
def test_the_clock_is_set_back(make_lab: Lab, tmp_path: Path):
    lab, clock = make_lab(), tmp_path / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    done = dpcam("capture", "--no-gate", "--frames", 4, "--json", cwd=lab, **faked)
    assert done.returncode == 0, done.stderr
    session = only_session(lab)
    clock.write_text("-2d")
    resumes(lab, session, "--no-gate", "--resume", session, **faked)
    frames = [event for event in journaled(session) if event["kind"] == "frame"]
    assert frames[4]["t_wall_ns"] < frames[3]["t_wall_ns"], "the clock was set back"
    times = [frame["captured_mono_ns"] for frame in frames]
    assert times == sorted(times)
