"""Repair sets aside and deletes nothing; what it did is in the journal; what is being written is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sessions import CLOCK, MACHINE, again, begin, frame, plan

from calibration.errors import BadUsage, SessionLocked
from capture.check import check_session
from capture.journal import NoteEvent, ResumeEvent
from capture.repair import find_damage, repair_session
from capture.session import read_session


def taken(root: Path, stop: str = "") -> Path:
    of = plan(4)
    with begin(root, of) as writer:
        for shot in of.shots[:3]:
            writer.write_frame(frame(shot.index, truth={}), shot)
        if stop:
            writer.stop(stop)
        if stop == "complete":
            writer.seal()
    return writer.folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def tear(folder: Path) -> None:
    journal = folder / "events.jsonl"
    journal.write_bytes(journal.read_bytes()[:-30])


def leave_orphans(folder: Path) -> None:
    frames = folder / "frames" / "staged-test"
    (frames / "000003.png").write_bytes(b"without a line")
    (frames / ".000003.png.17.part").write_bytes(b"half")
    aside = folder / "orphans" / "staged-test"
    aside.mkdir(parents=True)
    (aside / "000003.png").write_bytes(b"from an earlier time")


def run(folder: Path, act=repair_session):
    return act(folder, machine=MACHINE, clock=CLOCK)


def test_a_torn_line_and_orphans_are_set_aside_and_every_byte_is_kept(tmp_path: Path) -> None:
    folder = taken(tmp_path)
    whole = (folder / "events.jsonl").read_bytes()
    tear(folder)
    leave_orphans(folder)
    before = contents(folder)
    planned = run(folder, find_damage)
    assert contents(folder) == before, "a dry run changes nothing"
    done = run(folder)
    assert (done.torn_bytes, done.orphans) == (planned.torn_bytes, planned.orphans)
    assert len(done.orphans) == 4, "the torn frame with its truth, the one without a line, the half"
    check = check_session(folder)
    assert (check.whole, check.torn, check.orphans, check.frames) == (True, False, (), 2)
    after = contents(folder)
    kept = [data for name, data in after.items() if name != "events.jsonl" and not name.endswith(".torn")]
    assert sorted(before.values()) == sorted([*kept, before["events.jsonl"]])
    (torn,) = (data for name, data in after.items() if name.endswith(".torn"))
    assert whole.startswith(before["events.jsonl"].removesuffix(torn) + torn)
    last = list(read_session(folder).events())[-1]
    assert isinstance(last, NoteEvent)
    assert f"a torn last line of {done.torn_bytes} bytes was cut off, 4 files had no line" in last.text
    assert not run(folder).needed, "the second time there is nothing to do"
    assert contents(folder) == after


def test_what_a_session_ended_with_stays_its_end(tmp_path: Path) -> None:
    folder = taken(tmp_path, "limit")
    leave_orphans(folder)
    run(folder)
    assert read_session(folder).stopped == "limit"


def test_a_capture_that_writes_is_not_disturbed(tmp_path: Path) -> None:
    with begin(tmp_path, plan(2)) as writer:
        for act in (find_damage, repair_session):
            with pytest.raises(SessionLocked):
                run(writer.folder, act)
        writer.write_frame(frame(0), writer.plan.shots[0])
    assert check_session(writer.folder).whole


def test_nothing_is_written_to_a_sealed_session(tmp_path: Path) -> None:
    folder = taken(tmp_path, "complete")
    assert not run(folder).needed
    leave_orphans(folder)
    before = contents(folder)
    with pytest.raises(BadUsage, match="is sealed"):
        run(folder)
    assert contents(folder) == before


def test_what_is_missing_cannot_be_repaired_and_still_shows(tmp_path: Path) -> None:
    folder = taken(tmp_path)
    (folder / "frames/staged-test/000001.png").unlink()
    tear(folder)
    run(folder)
    assert check_session(folder).missing == ("frames/staged-test/000001.png",)


def test_resuming_keeps_what_was_torn_and_what_had_no_line(tmp_path: Path) -> None:
    folder = taken(tmp_path)
    tear(folder)
    torn = (folder / "events.jsonl").read_bytes().rpartition(b"\n")[2]
    with again(folder):
        pass
    aside = {path.name: path.read_bytes() for path in (folder / "orphans").rglob("*") if path.is_file()}
    assert torn in aside.values()
    assert {"000002.png", "000002.truth.json"} <= set(aside)
    resumed = [event.reason for event in read_session(folder).events() if isinstance(event, ResumeEvent)]
    assert resumed[0].endswith("; 2 files without a line are in orphans/")
