"""``dpcam session``: what sessions there are, what is in one, is it whole, make it clean, as one table."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from calibration.errors import BadInput, DpcamError, Incomplete
from pipeline.cli.color import session_color
from pipeline.cli.command import DryRunOption, LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from capture.session import Session
    from pipeline.sessions.view import Cell, Happened

group = new_group("Sessions: list, show, check, repair, export, compare their colors.")
SessionArgument = Annotated[Path, typer.Argument(help="The session folder.", metavar="SESSION")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    command(group, "color")(session_color)
    app.add_typer(group, name="session")


@command(group, "list")
def list_sessions(lab: LabOption = Path()) -> Result:
    """List the sessions of the lab; damaged ones are errors beside the list."""
    from capture.session import read_session, session_folders

    listed = []
    damaged: list[DpcamError] = []
    for folder in session_folders(enter_lab(lab).sessions):
        try:
            listed.append(_listed(read_session(folder)))
        except BadInput as error:
            damaged.append(Incomplete(error.message, where=str(folder)))
    rows = tuple(
        (Path(each["session"]).name, str(each["frames"]), str(each["skipped"]), str(each["pending"]), each["state"])
        for each in listed
    )
    columns = ("session", "frames", "skipped", "pending", "state")
    return Result(data={"sessions": listed}, tables=[Table("Sessions", columns, rows)], errors=damaged)


@command(group, "show")
def show(session: SessionArgument) -> Result:
    """Show what a session holds: how far its plan is, what happened, cameras, settings."""
    from capture.session import read_session
    from pipeline.sessions.view import happened, progress, settings_as_data

    opened = read_session(session)
    sums = happened(opened)
    cells = progress(opened)
    header = opened.header
    data = {
        **_listed(opened),
        "created_utc": header.created_utc,
        "host": header.machine.host,
        "operator": header.operator,
        "seed": header.seed,
        "storage": header.storage.model_dump(),
        "stopped": opened.stopped,
        "bytes": sums.bytes,
        "sizes": dict(sums.sizes),
        "files": dict(sums.suffixes),
        "events": dict(sums.kinds),
        "remarks": [asdict(remark) for remark in sums.remarks],
        "settings": settings_as_data(sums.settings),
        "measured": {"taken": settings_as_data(sums.taken), "refused": settings_as_data(sums.refused)},
        "progress": [
            {**cell.condition.model_dump(), "arm": cell.arm, "planned": cell.planned, "frames": cell.frames}
            | {"skipped": cell.skipped, "pending": cell.pending}
            for cell in cells
        ],
        "inputs": [record.model_dump() for record in header.inputs],
    }
    settings = Table("Settings", ("setting", "values"), tuple((name, str(a)) for name, a in sums.settings.items()))
    tables = [_progress_table(cells)] if cells else []
    tables += [_measured_table(sums)] if sums.taken or sums.refused else []
    return Result(data=data, tables=[*tables, settings] if sums.settings else tables, lines=_lines(opened, sums))


@command(group, "check")
def check(session: SessionArgument) -> Result:
    """Verify a session: every journaled frame against its hash, the journal against the plan and the seal."""
    return _checked(session)


@command(group, "repair")
def repair(session: SessionArgument, dry_run: DryRunOption = False) -> Result:
    """Set aside what a killed capture left half-done, and check the session. Nothing is deleted."""
    from capture.frame import Clock
    from capture.new_session import this_machine
    from capture.repair import find_damage, repair_session

    act = find_damage if dry_run else repair_session
    done = act(session, machine=this_machine(), clock=Clock())
    checked = _checked(session)
    words = "would be" if dry_run else "was"
    lines = [f"a torn last line of {done.torn_bytes} bytes {words} cut off"] if done.torn_bytes else []
    lines += [f"not journaled, {words} moved to orphans/: {name}" for name in done.orphans]
    data = {
        **checked.data,
        "torn_bytes": done.torn_bytes,
        "set_aside": list(done.orphans),
        "kept_as": list(done.aside),
    }
    return Result(data=data, lines=lines or ["nothing to repair"], errors=checked.errors)


@command(group, "export")
def export(
    session: SessionArgument,
    form: Annotated[Literal["csv", "parquet"] | None, typer.Option("--format", help="By the name of --out.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; in the session's derived/ by default.")] = None,
) -> Result:
    """Write one row for each frame with all that the journal knows of it."""
    from capture.session import read_session
    from pipeline.sessions.derived import derived_path
    from pipeline.sessions.exporting import export_session

    chosen: Literal["csv", "parquet"] = form or ("parquet" if out and out.suffix == ".parquet" else "csv")
    opened = read_session(session)
    hashes = [str(opened.event_count), *(frame.sha256 for frame in opened.frames)]
    done = export_session(opened, out or derived_path(session, "frames", f".{chosen}", hashes), chosen)
    data = {"export": str(done.path), "format": chosen, "rows": done.rows, "columns": list(done.columns)}
    return Result(data=data, lines=[f"{done.rows} rows, {len(done.columns)} columns", str(done.path)])


def _checked(session: Path) -> Result:
    from capture.check import check_session

    found = check_session(session)
    data = {
        "session": str(session),
        "frames": found.frames,
        "withdrawn": found.withdrawn,
        "skipped": found.skipped,
        "missing": list(found.missing),
        "tampered": list(found.tampered),
        "orphans": list(found.orphans),
        "repeated": list(found.repeated),
        "pending": len(found.pending),
        "torn": found.torn,
        "sealed": found.sealed,
        "complete": found.complete,
    }
    state = _state(found.sealed)
    withdrawn = _withdrawn(found.withdrawn)
    lines = [f"{found.frames} frames, {withdrawn}{found.skipped} skipped, {len(found.pending)} shots pending, {state}"]
    lines += [f"orphan, not journaled: {name}" for name in found.orphans]
    lines += ["the journal ends in a torn line"] if found.torn else []
    errors = [Incomplete(f"missing: {name}", where=name) for name in found.missing]
    errors += [Incomplete(f"other bytes than were recorded: {name}", where=name) for name in found.tampered]
    errors += [Incomplete(f"shot {number} was taken more than once", where=str(session)) for number in found.repeated]
    return Result(data=data, lines=lines, errors=errors)


def _listed(session: Session) -> dict[str, Any]:
    return {
        "session": str(session.folder),
        "camera": session.header.camera,
        "cameras": [camera.identity for camera in session.header.cameras],
        "frames": len(session.frames),
        "withdrawn": len(session.withdrawn),
        "skipped": len(session.skips),
        "pending": len(session.pending),
        "sealed": session.sealed,
        "state": _state(session.sealed),
    }


def _progress_table(cells: list[Cell]) -> Table:
    """Conditions down, arms across: frames of planned shots."""
    from pipeline.scoring.sources import condition_name

    arms = sorted({cell.arm for cell in cells})
    by_place = {(condition_name(cell.condition), cell.arm): _done(cell) for cell in cells}
    names = list(dict.fromkeys(condition_name(cell.condition) for cell in cells))
    rows = tuple((name, *(by_place.get((name, arm), "–") for arm in arms)) for name in names)
    return Table("Frames of planned shots", ("condition", *arms), rows)


def _measured_table(sums: Happened) -> Table:
    """What the gate measured, of the frames and of the pictures that it refused."""
    names = dict.fromkeys([*sums.taken, *sums.refused])
    rows = tuple((name, str(sums.taken.get(name, "–")), str(sums.refused.get(name, "–"))) for name in names)
    return Table("Measured by the gate", ("", "frames", "refused"), rows)


def _done(cell: Cell) -> str:
    skipped = f", {cell.skipped} skipped" if cell.skipped else ""
    return f"{cell.frames} of {cell.planned}{skipped}"


def _lines(session: Session, sums: Happened) -> list[str]:
    header = session.header
    events = ", ".join(f"{count} {kind}" for kind, count in sums.kinds.items())
    stored = ", ".join(f"{count} {suffix}" for suffix, count in sums.suffixes.items())
    lines = [
        f"{header.id}, begun {header.created_utc} on {header.machine.host}",
        f"camera {header.camera_words}, {', '.join(sums.sizes) or 'no frame yet'}",
        f"{len(session.frames)} frames ({stored or 'none'}; {sums.bytes / 1e6:.1f} MB), "
        f"{_withdrawn(len(session.withdrawn))}{len(session.skips)} skipped, "
        f"{len(session.pending)} shots pending, {_state(session.sealed)}",
        f"events: {events}",
    ]
    return lines + [f"{_clock(remark.t_wall_ns)} {remark.kind}: {remark.text}" for remark in sums.remarks]


def _withdrawn(frames: int) -> str:
    return f"{frames} withdrawn, " if frames else ""


def _clock(wall_ns: int) -> str:
    return datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _state(sealed: bool) -> str:
    return "complete" if sealed else "unfinished"
