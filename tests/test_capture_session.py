"""A session keeps what was journaled, whatever happens to the process, the disk or the files."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sessions import CLOCK, MACHINE, SHEETS, again, begin, frame, picture, plan, sheet

from calibration.errors import BadConfig, BadUsage, DiskFull, MissingFile, NotReady, SessionLocked
from calibration.files import sha256_file, write_document
from capture.check import check_session
from capture.journal import FrameEvent, Judged, NoteEvent
from capture.lock import Owner
from capture.new_session import Input, sheet_inputs
from capture.picture import decode_picture
from capture.recorder import SessionWriter
from capture.repair import find_damage
from capture.session import read_session


def three_frames(root: Path) -> Path:
    """A session of a plan of 6: shots 0, 2, 3 taken, shot 1 given up; not stopped."""
    of = plan(6)
    with begin(root, of) as writer:
        writer.write_frame(frame(0, truth={"H": [1.5]}), of.shots[0], Judged(ok=True))
        writer.retry(of.shots[1], 1, "too dark")
        writer.skip(of.shots[1], "too dark")
        writer.write_frame(frame(2, settings={"gain": 2, "mode": "auto", "exposure": float("nan")}), of.shots[2])
        writer.write_frame(frame(3, encoded=b"\xff\xd8 as sent", suffix=".jpg"), of.shots[3])
    return writer.folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    session = read_session(three_frames(tmp_path))
    assert [record.shot.index for record in session.frames] == [0, 2, 3]
    assert [record.shot.arm for record in session.frames] == ["bare", "patch", "bare"]
    assert [(skip.shot.index, skip.reason) for skip in session.skips] == [(1, "too dark")]
    assert [shot.index for shot in session.pending] == [4, 5]
    first, second, third = session.frames
    assert (decode_picture(first.path.read_bytes(), "") == picture(0)).all()
    assert json.loads(first.truth.read_text()) == {"H": [1.5]}
    assert (first.width, first.height) == (32, 24)
    assert first.verdict == Judged(ok=True)
    assert second.settings == {"gain": 2, "mode": "auto", "exposure": "NaN"}
    assert third.path.read_bytes() == b"\xff\xd8 as sent"
    assert session.stopped is None
    assert not session.torn
    assert not session.sealed


def test_the_folder_is_as_documented(tmp_path: Path) -> None:
    folder = three_frames(tmp_path)
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    frames = ("000000.png", "000000.truth.json", "000001.png", "000002.jpg")
    assert files == {
        "session.json",
        "events.jsonl",
        "inputs/plan.json",
        *(f"frames/staged-test/{name}" for name in frames),
    }
    assert [path.name for path in tmp_path.iterdir()] == [folder.name], "nothing is left beside it"
    header = json.loads((folder / "session.json").read_text())
    assert (header["format"], header["version"], header["camera"], header["seed"]) == (
        "dpcam.session",
        1,
        "staged:test",
        7,
    )
    assert header["machine"]["versions"]["numpy"] == np.__version__
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [line["kind"] for line in lines] == ["start", "frame", "retry", "skip", "frame", "frame"]
    assert all(line["t_mono_ns"] > 0 and line["t_wall_ns"] > 1e18 for line in lines)
    assert lines[1]["sha256"] == sha256_file(folder / lines[1]["path"])


def test_it_can_be_moved(tmp_path: Path) -> None:
    folder = three_frames(tmp_path / "here")
    moved = folder.rename(tmp_path / "there")
    assert check_session(moved).whole
    assert all(record.path.is_file() for record in read_session(moved).frames)


def test_inputs_are_verbatim_with_all_that_a_sheet_refers_to(tmp_path: Path) -> None:
    one = sheet("patch", 5)
    one = one.model_copy(
        update={"texture": "textures/t.png", "target": one.target.model_copy(update={"artwork": "stop.pdf"})}
    )
    lab = tmp_path / "sheets"
    (lab / "textures").mkdir(parents=True)
    write_document(lab / "patch.json", one)
    for name in ("sheet-patch.pdf", "textures/t.png", "stop.pdf"):
        (lab / name).write_bytes(name.encode() * 100)
    inputs = [*sheet_inputs(lab / "patch.json"), Input("lab", "lab.toml", b"# mine\r\n")]
    with SessionWriter.create(tmp_path / "s", camera="c", machine=MACHINE, clock=CLOCK, inputs=inputs) as writer:
        session = read_session(writer.folder)
    assert (writer.folder / "inputs/lab.toml").read_bytes() == b"# mine\r\n"
    assert (writer.folder / "inputs/sheets/textures/t.png").read_bytes() == b"textures/t.png" * 100
    assert [path.name for path in session.inputs("sheet")] == ["patch.json"]
    assert len(session.inputs("sheet-file")) == 3
    assert check_session(writer.folder).whole


def test_a_journal_cut_at_any_byte_gives_its_whole_lines(tmp_path: Path) -> None:
    folder = three_frames(tmp_path)
    journal = folder / "events.jsonl"
    whole = journal.read_bytes()
    for size in range(0, len(whole), 7):
        journal.write_bytes(whole[:size])
        session = read_session(folder)
        lines = whole[:size].count(b"\n")
        assert session.event_count == lines
        assert session.torn == (not whole[:size].endswith(b"\n") and size > 0)
        assert len(session.frames) == whole[: session.journal_bytes].count(b'"kind":"frame"')
        assert check_session(folder).whole


def test_a_torn_line_is_cut_off_on_resume_and_noted(tmp_path: Path) -> None:
    folder = three_frames(tmp_path)
    journal = folder / "events.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert check_session(folder).orphans == ("frames/staged-test/000002.jpg",)
    with again(folder) as writer:
        assert writer.frames == 2
        assert not writer.is_done(writer.plan.shots[3])
        writer.write_frame(frame(3, encoded=b"\xff\xd8 anew", suffix=".jpg"), writer.plan.shots[3])
    session = read_session(folder)
    assert session.frames[2].path.read_bytes() == b"\xff\xd8 anew"
    notes = [event.text for event in session.events() if isinstance(event, NoteEvent)]
    assert notes == ["the journal ended in a torn line, which was cut off"]
    assert check_session(folder).orphans == ()


def drop(lines: list[str]) -> list[str]:
    return lines[:2] + lines[3:]


def repeat(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[2], *lines[3:]]


def change(old: str, new: str):
    return lambda lines: [line.replace(old, new) for line in lines]


@pytest.mark.parametrize(
    ("edit", "line", "words"),
    [
        (drop, 3, "event number 3, but 2 is due"),
        (repeat, 4, "event number 2, but 3 is due"),
        (change('"kind":"skip"', '"kind":"slip"'), 4, "slip"),
        (change('"shot":2', '"shot":20'), 5, "shot 20 is not in the plan"),
        (change('"index":1', '"index":2'), 5, "frame 2, but 1 is due"),
        (change("frames/staged-test/000000.png", "../../../etc/passwd"), 2, "does not lie in the session"),
        (change("frames/staged-test/000000.png", "/etc/passwd"), 2, "does not lie in the session"),
        (change('"reason":"too dark"', '"reason":"too dark","by":"hand"'), 3, "by: Extra inputs"),
        (change('"attempt":1,', '"attempt":1'), 3, "JSON"),
    ],
)
def test_a_journal_changed_by_hand_is_refused_with_the_line(tmp_path: Path, edit, line: int, words: str) -> None:
    folder = three_frames(tmp_path)
    journal = folder / "events.jsonl"
    journal.write_text("".join(edit(journal.read_text().splitlines(keepends=True))))
    with pytest.raises(BadConfig) as caught:
        read_session(folder)
    assert f"events.jsonl, line {line}: " in str(caught.value)
    assert words in str(caught.value)


def test_a_folder_that_is_no_session(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="is not a session"):
        read_session(tmp_path)


def sealed(root: Path) -> Path:
    of = plan(2)
    with begin(root, of) as writer:
        for shot in of.shots:
            writer.write_frame(frame(shot.index, truth={}), shot)
        writer.stop("complete")
        writer.seal()
    return writer.folder


def test_a_withdrawn_frame_stays_and_counts_no_more(tmp_path: Path) -> None:
    of = plan(3)
    first, second, third = of.shots
    with begin(tmp_path, of) as writer:
        writer.submit_frame(frame(0, truth={}), first, None)
        writer.submit_frame(frame(1, truth={}), second, None)
        writer.retake(second, "a hand in the picture")
        assert (writer.frames, writer.outcomes, writer.is_done(second), writer.has_frame(first)) == (1, 1, False, True)
        writer.skip(third, "no light")
        writer.retake(third, "light again")
        assert (writer.skipped, writer.outcomes, writer.is_done(third)) == (0, 1, False)
    with again(writer.folder) as writer:
        assert not writer.is_done(second)
        assert writer.write_frame(frame(2), second).name == "000002.png"
        writer.write_frame(frame(3), third)
    session = read_session(writer.folder)
    assert [(one.index, one.shot.index) for one in session.frames] == [(0, 0), (2, 1), (3, 2)]
    assert [(one.index, one.shot.index) for one in session.withdrawn] == [(1, 1)]
    assert (session.pending, session.skips) == ((), ())
    check = check_session(writer.folder)
    assert (check.whole, check.frames, check.withdrawn, check.orphans) == (True, 3, 1, ())
    assert not find_damage(writer.folder, machine=MACHINE, clock=CLOCK).needed
    flip(session.withdrawn[0].path)
    assert check_session(writer.folder).tampered == ("frames/staged-test/000001.png",)


def test_a_sealed_session_is_complete_and_closed(tmp_path: Path) -> None:
    folder = sealed(tmp_path)
    check = check_session(folder)
    assert (check.whole, check.complete, check.sealed, check.frames, check.stopped) == (True, True, True, 2, "complete")
    with pytest.raises(BadUsage, match="complete and sealed"):
        again(folder)
    assert not (folder / ".lock").exists()


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "harm", "field"),
    [
        ("frames/staged-test/000001.png", flip, "tampered"),
        ("frames/staged-test/000001.png", Path.unlink, "missing"),
        ("frames/staged-test/000000.truth.json", flip, "tampered"),
        ("frames/staged-test/000000.truth.json", Path.unlink, "missing"),
        ("session.json", lambda path: path.write_text(path.read_text() + "\n"), "tampered"),
        ("events.jsonl", lambda path: path.write_text(path.read_text().replace("complete", "completed")), "tampered"),
        ("events.jsonl", lambda path: path.write_bytes(path.read_bytes()[:-5]), "tampered"),
        ("frames/staged-test/000007.png", lambda path: path.write_bytes(b"x"), "orphans"),
    ],
)
def test_what_was_done_to_the_files_shows(tmp_path: Path, name: str, harm, field: str) -> None:
    folder = sealed(tmp_path)
    harm(folder / name)
    check = check_session(folder)
    assert getattr(check, field) == (name,)
    assert check.whole == (field == "orphans")


def test_inputs_are_checked_too(tmp_path: Path) -> None:
    with SessionWriter.create(
        tmp_path, camera="c", machine=MACHINE, clock=CLOCK, inputs=[Input("lab", "lab.toml", b"a = 1\n")]
    ) as writer:
        pass
    flip(writer.folder / "inputs/lab.toml")
    assert check_session(writer.folder).tampered == ("inputs/lab.toml",)


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        with pytest.raises(SessionLocked, match=f"process {os.getpid()} on"):
            again(writer.folder)
        assert read_session(writer.folder).event_count == 1, "readers need no lock"
    with again(writer.folder):
        pass


TAKE_AND_DIE = """
import os, sys, pathlib
sys.path[:0] = sys.argv[2:]
from sessions import again
writer = again(pathlib.Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        pass
    here = Path(__file__).parent
    subprocess.run([sys.executable, "-c", TAKE_AND_DIE, str(writer.folder), str(here), str(here.parent)], check=False)
    assert (writer.folder / ".lock").exists()
    with again(writer.folder):
        pass
    assert not (writer.folder / ".lock").exists()


def test_the_lock_of_another_host_stays(tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        pass
    other = Owner(host="elsewhere", pid=1, started_wall_ns=0)
    (writer.folder / ".lock").write_text(other.model_dump_json())
    with pytest.raises(SessionLocked, match="process 1 on elsewhere") as caught:
        again(writer.folder)
    assert "remove" in caught.value.hint
    assert (writer.folder / ".lock").exists()


def test_a_full_disk_leaves_what_was_journaled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = three_frames(tmp_path)
    before = (folder / "events.jsonl").read_bytes()
    with again(folder) as writer:
        resumed = (folder / "events.jsonl").read_bytes()

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(DiskFull, match="no space left"):
                writer.note("a remark")
            with pytest.raises(DiskFull):
                writer.write_frame(frame(4), writer.plan.shots[4])
        assert (folder / "events.jsonl").read_bytes() == resumed
        assert resumed.startswith(before)
        writer.write_frame(frame(4), writer.plan.shots[4])
    assert len(read_session(folder).frames) == 4
    assert check_session(folder).whole


def test_a_small_disk_fills_up(tmp_path: Path) -> None:
    small = tmp_path / "disk"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", small], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system (run as root)")
    try:
        noise = np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8)
        with begin(small, plan(30)) as writer, pytest.raises(DiskFull):
            write_until_full(writer, noise)
        check = check_session(writer.folder)
        assert check.frames > 3
        assert check.whole
    finally:
        subprocess.run(["umount", small], check=True)


def write_until_full(writer: SessionWriter, noise: np.ndarray) -> None:
    for shot in writer.plan.shots:
        writer.write_frame(frame(0, encoded=noise.tobytes(), suffix=".jpg"), shot)


@pytest.mark.parametrize("root", ["file/sessions", "/proc/sessions"])
def test_a_place_that_cannot_be_written(tmp_path: Path, root: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotReady, match="cannot write"):
        begin(tmp_path / root)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root: run the tests as another user")
def test_a_read_only_folder(tmp_path: Path) -> None:
    folder = three_frames(tmp_path)
    folder.chmod(0o500)
    try:
        with pytest.raises(NotReady, match="cannot write"):
            again(folder)
        assert read_session(folder).frames
    finally:
        folder.chmod(0o700)


def test_an_input_may_not_lead_out_of_the_session(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="does not lie"):
        SessionWriter.create(tmp_path, camera="c", machine=MACHINE, clock=CLOCK, inputs=[Input("other", "../x", b"")])
    assert list(tmp_path.iterdir()) == []


def test_a_frame_event_names_the_shot_of_its_plan(tmp_path: Path) -> None:
    folder = three_frames(tmp_path)
    events = [event for event in read_session(folder).events() if isinstance(event, FrameEvent)]
    assert [event.shot for event in events] == [0, 2, 3]
    assert set(SHEETS) == {shot.sheet for shot in read_session(folder).plan.shots}
