"""``dpcam session``: what there is, what is in it, as a table; all of that with 20,000 frames, no picture opened."""

from __future__ import annotations

import csv
import gc
import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sessions import CLOCK, MACHINE, SHEETS, again, begin, frame, plan, plan_input

from capture.check import check_session
from capture.journal import FrameEvent, Judged, Measured
from capture.plan import Condition, Plan, Shot
from capture.recorder import SessionWriter
from capture.session import read_session
from pipeline.bench.capture import resident_mb
from pipeline.sessions.view import happened, progress

Run = Callable[..., tuple[int, dict]]
FRAMES = 20_000


@pytest.fixture
def taken(tmp_path: Path) -> Path:
    """A session of which half is taken: a retry, a skip, settings of all kinds, conditions of a rig's own."""
    shots = [
        Shot(
            index=i,
            arm=("bare", "patch")[i % 2],
            sheet=list(SHEETS)[i % 3],
            condition=Condition(distance_mm=1000 + 500 * (i // 4), yaw_deg=10, extra={"fog": i // 4, "lamp": "left"}),
            repeat=i // 2 % 2,
        )
        for i in range(8)
    ]
    with begin(tmp_path / "sessions", Plan(seed=1, target="stop", primary_arm="patch", shots=tuple(shots))) as writer:
        settings = [
            {"gain": 1, "lens": "50, fixed"},
            {"gain": 1.5, "note": 'a\n"b"'},
            {"gain": float("nan"), "lens": 7},
        ]
        writer.retry(shots[0], 1, "blurred", Measured(tags=3, blur_px=3.5))
        for shot, one in zip(shots[:3], settings, strict=True):
            judged = (
                Judged(ok=True, measured=Measured(tags=4, margin=90 + shot.index)) if shot.index else Judged(ok=True)
            )
            writer.write_frame(frame(shot.index, settings=one, truth={}), shot, judged)
        writer.skip(shots[3], "no light")
        writer.note("the lamp was changed")
    return writer.folder


def data_of(answer: tuple[int, dict], code: int = 0) -> dict:
    assert answer[0] == code, answer[1]["errors"]
    return answer[1]["data"]


def test_a_session_is_shown_with_its_plan_its_events_and_its_settings(run: Run, taken: Path) -> None:
    data = data_of(run("session", "show", taken))
    assert {key: data[key] for key in ("frames", "skipped", "pending", "camera", "files", "sizes")} == {
        "frames": 3,
        "skipped": 1,
        "pending": 4,
        "camera": "staged:test",
        "files": {".png": 3},
        "sizes": {"32x24": 3},
    }
    assert data["events"] == {"start": 1, "retry": 1, "frame": 3, "skip": 1, "note": 1}
    cells = [
        (cell["distance_mm"], cell["arm"], cell["frames"], cell["skipped"], cell["pending"])
        for cell in data["progress"]
    ]
    assert cells == [
        (1000, "bare", 2, 0, 0),
        (1000, "patch", 1, 1, 0),
        (1500, "bare", 0, 0, 2),
        (1500, "patch", 0, 0, 2),
    ]
    assert data["settings"]["lens"] == {"frames": 2, "values": ["50, fixed", 7], "lowest": 7, "highest": 7}
    assert [remark["text"] for remark in data["remarks"]] == [
        "shot 0: blurred",
        "shot 3: no light",
        "the lamp was changed",
    ]
    assert data["measured"]["taken"]["margin"] == {"frames": 2, "values": [91, 92], "lowest": 91, "highest": 92}
    assert data["measured"]["refused"]["blur_px"] == {"frames": 1, "values": [3.5], "lowest": 3.5, "highest": 3.5}
    assert data["storage"] == {"codec": "png", "frames_per_s": 5.0}


def test_the_table_for_people_names_conditions_and_arms(taken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.cli.app import main

    with pytest.raises(SystemExit):
        main(["session", "show", str(taken)])
    shown = capsys.readouterr().out
    assert [
        word
        for word in (
            "Measured by the gate",
            "3.5",
            "1500 mm, yaw 10°",
            "1 of 2, 1 skipped",
            "0 of 2",
            "the lamp was changed",
        )
        if word not in shown
    ] == []


def test_every_frame_is_a_row_of_csv_with_all_that_the_journal_knows(run: Run, taken: Path, tmp_path: Path) -> None:
    data = data_of(run("session", "export", taken, "--out", tmp_path / "out" / "frames.csv"))
    with Path(data["export"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert (len(rows), list(rows[0])) == (3, data["columns"])
    first, second, third = rows
    event = next(e for e in read_session(taken).events() if isinstance(e, FrameEvent))
    assert {name: first[name] for name in ("shot", "arm", "distance_mm", "retries", "verdict_ok", "condition.fog")} == {
        "shot": "0",
        "arm": "bare",
        "distance_mm": "1000.0",
        "retries": "1",
        "verdict_ok": "True",
        "condition.fog": "0.0",
    }
    for name in ("path", "sha256", "bytes", "width", "height", "captured_mono_ns", "captured_wall_ns", "truth_sha256"):
        assert first[name] == str(getattr(event, name)), name
    assert first["journaled_wall_ns"] == str(event.t_wall_ns)
    assert [row["setting.gain"] for row in rows] == ["1", "1.5", "NaN"]
    assert [row["setting.lens"] for row in rows] == ["50, fixed", "", "7"]
    assert second["setting.note"] == 'a\n"b"'
    assert (third["retries"], third["retry_reasons"], first["retry_reasons"]) == ("0", "", "blurred")
    assert [row["gate.margin"] for row in rows] == ["", "91.0", "92.0"], "what a gate of an older dpcam did not keep"
    assert [row["gate.tags"] for row in rows] == ["", "4", "4"]


def test_a_withdrawn_frame_is_no_row_and_is_not_shown_as_one(run: Run, taken: Path, tmp_path: Path) -> None:
    with again(taken) as writer:
        shots = writer.plan.shots
        writer.retake(shots[0], "a hand in the picture")
        writer.retake(shots[3], "light again")
        writer.write_frame(frame(7, settings={"gain": 2}), shots[0])
    data = data_of(run("session", "export", taken, "--out", tmp_path / "frames.csv"))
    with Path(data["export"]).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["shot"], row["frame"], row["retries"]) for row in rows] == [
        ("1", "1", "0"),
        ("2", "2", "0"),
        ("0", "3", "0"),
    ]
    assert [row["setting.gain"] for row in rows] == ["1.5", "NaN", "2"]
    shown = data_of(run("session", "show", taken))
    assert (shown["frames"], shown["withdrawn"], shown["skipped"], shown["events"]["frame"]) == (3, 1, 0, 4)
    assert (shown["sizes"], shown["files"]) == ({"32x24": 3}, {".png": 3})
    assert "shot 0: a hand in the picture" in [remark["text"] for remark in shown["remarks"]]
    checked = data_of(run("session", "check", taken))
    assert (checked["frames"], checked["withdrawn"], checked["orphans"]) == (3, 1, [])


def test_parquet_has_the_same_rows_with_their_kinds(run: Run, taken: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    data = data_of(run("session", "export", taken, "--format", "parquet"))
    path = Path(data["export"])
    assert path.parent == taken / "derived"
    with duckdb.connect(":memory:") as database:
        table = database.execute("SELECT * FROM read_parquet(?)", [str(path)])
        columns = {each[0]: str(each[1]) for each in table.description}
        rows = [dict(zip(columns, row, strict=True)) for row in table.fetchall()]
    assert list(columns) == data["columns"]
    event = next(e for e in read_session(taken).events() if isinstance(e, FrameEvent))
    assert rows[0]["captured_wall_ns"] == event.captured_wall_ns
    assert rows[0]["verdict_ok"] is True
    assert str(rows[2]["setting.gain"]) == "nan"
    assert [row["setting.lens"] for row in rows] == ["50, fixed", None, "7"]
    assert (rows[1]["condition.fog"], rows[1]["condition.lamp"], rows[1]["setting.note"]) == (0, "left", 'a\n"b"')


def test_parquet_says_what_it_needs(run: Run, taken: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    code, said = run("session", "export", taken, "--format", "parquet")
    assert (code, said["errors"][0]["hint"]) == (2, "pip install 'dpcam[parquet]', or --format csv")
    assert not (taken / "derived").exists() or not list((taken / "derived").iterdir())


def test_a_session_without_plan_or_frames_is_shown_and_exported(run: Run, tmp_path: Path) -> None:
    with begin(tmp_path) as writer:
        pass
    assert data_of(run("session", "show", writer.folder))["progress"] == []
    assert data_of(run("session", "export", writer.folder))["rows"] == 0


def test_repair_says_what_it_would_do_does_it_and_checks(run: Run, taken: Path) -> None:
    journal = taken / "events.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"kind":"fr')
    (taken / "frames/staged-test/000003.png").write_bytes(b"orphan")
    planned = data_of(run("session", "repair", taken, "--dry-run"))
    assert (planned["torn"], planned["torn_bytes"], planned["set_aside"]) == (
        True,
        11,
        ["frames/staged-test/000003.png"],
    )
    done = data_of(run("session", "repair", taken))
    assert (done["torn"], done["orphans"], len(done["kept_as"])) == (False, [], 2)
    (taken / "frames/staged-test/000002.png").unlink()
    code, said = run("session", "repair", taken)
    assert (code, said["data"]["missing"]) == (5, ["frames/staged-test/000002.png"])


def test_a_session_that_is_written_is_not_repaired(run: Run, tmp_path: Path) -> None:
    with begin(tmp_path, plan(2)) as writer:
        code, said = run("session", "repair", writer.folder)
    assert (code, said["errors"][0]["code"]) == (4, "locked")


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20,000 journaled frames, which are no pictures: whoever opens one fails."""
    lab = tmp_path_factory.mktemp("large")
    (lab / "lab.toml").write_text("")
    of = large_plan()
    with SessionWriter.create(
        lab / "sessions", camera="staged:test", machine=MACHINE, clock=CLOCK, inputs=[plan_input(of)]
    ) as writer:
        folder = writer.folder
    frames = folder / "frames" / "staged-test"
    frames.mkdir(parents=True)
    with (folder / "events.jsonl").open("a") as journal:
        for number in range(FRAMES):
            journal.write(large_line(frames, number))
    return folder


def large_plan() -> Plan:
    """100 conditions, 2 arms, 100 repeats."""
    shots = tuple(
        Shot(
            index=i,
            arm=("bare", "patch")[i % 2],
            sheet=list(SHEETS)[i % 2],
            condition=Condition(distance_mm=1000 + i // 2 % 100),
            repeat=i // 200,
        )
        for i in range(FRAMES)
    )
    return Plan(seed=1, target="stop", primary_arm="patch", shots=shots)


def large_line(frames: Path, number: int) -> str:
    content = b"no picture %d" % number
    (frames / f"{number:06d}.png").write_bytes(content)
    event = FrameEvent(
        n=number + 1,
        t_mono_ns=number,
        t_wall_ns=10**18 + number,
        index=number,
        shot=number,
        path=f"frames/staged-test/{number:06d}.png",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        width=1920,
        height=1080,
        captured_mono_ns=number,
        captured_wall_ns=10**18 + number,
        settings={"exposure_us": 4000 + number % 7, "gain": 1.5, "mode": "manual"},
        verdict=Judged(ok=True),
    )
    return event.model_dump_json() + "\n"


def test_20_000_frames_are_opened_checked_shown_and_exported_in_little_memory(
    large: Path, run: Run, tmp_path: Path
) -> None:
    gc.collect()
    before, started, growth = resident_mb(), time.process_time(), {}
    check = check_session(large)
    growth["check"] = resident_mb() - before
    assert (check.frames, check.whole, check.orphans) == (FRAMES, True, ())
    session = read_session(large)
    sums = happened(session)
    assert (sums.kinds["frame"], len(progress(session))) == (FRAMES, 200)
    growth["shown"] = resident_mb() - before
    data = data_of(run("session", "export", large, "--out", tmp_path / "frames.csv"))
    growth["exported"] = resident_mb() - before
    assert data["rows"] == FRAMES
    listed = data_of(run("session", "list", "--lab", large.parent.parent))["sessions"]
    assert [(each["frames"], each["pending"]) for each in listed] == [(FRAMES, 0)]
    print(json.dumps(growth), f"{time.process_time() - started:.1f} s of CPU")
    assert max(growth.values()) < 200
