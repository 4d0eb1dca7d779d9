"""A session as one table: a row for each frame with all that the journal knows of it, as CSV or Parquet.

The journal is read twice, first for the columns and then for the rows; neither pictures nor all rows are held at once.
"""

from __future__ import annotations

import csv
import json
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from calibration.errors import BadUsage
from calibration.files import make_folder, not_writable, sync_folder
from capture.journal import FrameEvent, Measured, RetakeEvent, RetryEvent, Setting
from capture.plan import Plan, Shot
from capture.session import Session

Format = Literal["csv", "parquet"]
Kind = Literal["BIGINT", "DOUBLE", "VARCHAR", "BOOLEAN"]
Value = str | int | float | bool | None
Row = dict[str, Value]

_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
"""How the journal writes numbers that JSON does not have."""

_FIRST: dict[str, Kind] = {
    "session": "VARCHAR",
    "camera": "VARCHAR",
    "frame": "BIGINT",
    "event": "BIGINT",
    "shot": "BIGINT",
    "arm": "VARCHAR",
    "sheet": "VARCHAR",
    "repeat": "BIGINT",
    "distance_mm": "DOUBLE",
    "yaw_deg": "DOUBLE",
    "pitch_deg": "DOUBLE",
    "roll_deg": "DOUBLE",
    "light": "VARCHAR",
}
_WHOLE = frozenset({"tags", "corrected_bits"})
_GATE: dict[str, Kind] = {f"gate.{name}": "BIGINT" if name in _WHOLE else "DOUBLE" for name in Measured.model_fields}
"""What the gate measured: the same columns in every table."""

_LAST: dict[str, Kind] = {
    "path": "VARCHAR",
    "sha256": "VARCHAR",
    "bytes": "BIGINT",
    "width": "BIGINT",
    "height": "BIGINT",
    "captured_mono_ns": "BIGINT",
    "captured_wall_ns": "BIGINT",
    "journaled_mono_ns": "BIGINT",
    "journaled_wall_ns": "BIGINT",
    "retries": "BIGINT",
    "retry_reasons": "VARCHAR",
    "verdict_ok": "BOOLEAN",
    "verdict_reason": "VARCHAR",
    **_GATE,
    "truth": "VARCHAR",
    "truth_sha256": "VARCHAR",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """The file, and how large its table is."""

    path: Path
    rows: int
    columns: tuple[str, ...]


def export_session(session: Session, path: Path, form: Format) -> Exported:
    """Write the table of ``session``, without withdrawn frames.

    :class:`BadUsage` for Parquet when what writes it is not installed.
    """
    columns = _columns(session)
    with written_aside(path) as aside:
        write_table(_rows(session, columns), columns, aside, form)
    return Exported(path, len(session.frames), tuple(columns))


def write_table(rows: Iterable[Row], columns: dict[str, Kind], path: Path, form: Format) -> None:
    """Write rows, of which no more than one is held, to ``path``; the columns in their order."""
    write = _write_csv if form == "csv" else _write_parquet
    write(rows, columns, path)


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` that takes its place, synced, when all went well; else it is removed."""
    make_folder(path.parent)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield aside
        with aside.open("rb") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
    except OSError as error:
        raise not_writable(path, error) from error
    finally:
        with suppress(OSError):
            aside.unlink()
    sync_folder(path.parent)


def _columns(session: Session) -> dict[str, Kind]:
    """Names and kinds; ``condition.NAME`` for what a plan adds, ``setting.NAME`` for what cameras and rigs report."""
    extras: dict[str, Kind] = {}
    for shot in session.plan.shots if session.plan else ():
        for name, value in shot.condition.extra.items():
            _widen(extras, f"condition.{name}", value)
    settings: dict[str, Kind] = {}
    for frame in session.frames:
        for name, value in frame.settings.items():
            _widen(settings, f"setting.{name}", value)
    return {**_FIRST, **dict(sorted(extras.items())), **_LAST, **dict(sorted(settings.items()))}


def _widen(kinds: dict[str, Kind], name: str, value: Setting) -> None:
    """A column that holds numbers and words is one of words."""
    kind = _kind(value)
    kinds[name] = kind if kinds.get(name, kind) == kind else "VARCHAR" if "VARCHAR" in (kinds[name], kind) else "DOUBLE"


def _kind(value: Setting) -> Kind:
    if isinstance(value, str):
        return "DOUBLE" if value in _NOT_FINITE else "VARCHAR"
    fits = isinstance(value, int) and -(2**63) <= value < 2**63
    return "BIGINT" if fits else "DOUBLE"


def _rows(session: Session, columns: dict[str, Kind]) -> Iterator[Row]:
    counts = {frame.index for frame in session.frames}
    retries: defaultdict[int | None, list[str]] = defaultdict(list)
    for event in session.events():
        if isinstance(event, RetakeEvent):
            retries.pop(event.shot, None)
        if isinstance(event, RetryEvent):
            retries[event.shot].append(event.reason)
        if isinstance(event, FrameEvent):
            # A shot's frames, one of each camera, share its retries; without a plan they are those before the frame.
            tried = retries.pop(None, []) if event.shot is None else retries[event.shot]
            row = _row(session, event, tried)
            if event.index in counts:
                yield {name: _cell(row.get(name), kind) for name, kind in columns.items()}


def _row(session: Session, event: FrameEvent, retries: list[str]) -> Row:
    verdict = event.verdict
    cameras = {camera.folder: camera.identity for camera in session.header.cameras}
    return {
        "session": session.header.id,
        "camera": cameras[PurePosixPath(event.path).parent.name],
        "frame": event.index,
        "event": event.n,
        **_planned(session.plan, event.shot),
        **event.model_dump(
            include={
                *("path", "sha256", "bytes", "width", "height", "truth", "truth_sha256"),
                *("captured_mono_ns", "captured_wall_ns"),
            }
        ),
        "journaled_mono_ns": event.t_mono_ns,
        "journaled_wall_ns": event.t_wall_ns,
        "retries": len(retries),
        "retry_reasons": "; ".join(retries) or None,
        "verdict_ok": verdict.ok if verdict else None,
        "verdict_reason": verdict.reason if verdict else None,
        **_measured(verdict.measured if verdict else None),
        **{f"setting.{name}": value for name, value in event.settings.items()},
    }


def _measured(measured: Measured | None) -> Row:
    return {f"gate.{name}": value for name, value in measured.model_dump().items()} if measured else {}


def _planned(plan: Plan | None, number: int | None) -> Row:
    shot: Shot | None = plan.shot(number) if plan and number is not None else None
    if shot is None:
        return {}
    condition = shot.condition.model_dump(exclude={"extra"})
    extra = {f"condition.{name}": value for name, value in shot.condition.extra.items()}
    return {"shot": shot.index, "arm": shot.arm, "sheet": shot.sheet, "repeat": shot.repeat, **condition, **extra}


def _cell(value: Value, kind: Kind) -> Value:
    return str(value) if kind == "VARCHAR" and value is not None else value


def _write_csv(rows: Iterable[Row], columns: dict[str, Kind], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(columns))
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: Iterable[Row], columns: dict[str, Kind], path: Path) -> None:
    """Rows as lines of JSON, which DuckDB turns into Parquet block by block."""
    copy = _parquet_writer()
    # Not beside the session, whose name may hold what DuckDB takes for a pattern of names.
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "rows.jsonl"
        with lines.open("w", encoding="utf-8") as stream:
            stream.writelines(json.dumps(row) + "\n" for row in rows)
        copy(lines, columns, path)


def _parquet_writer() -> Callable[[Path, dict[str, Kind], Path], None]:
    try:
        import duckdb
    except ImportError as error:
        raise BadUsage(
            "Parquet is written by DuckDB, which is not installed",
            hint="pip install 'dpcam[parquet]', or --format csv",
            where="--format",
        ) from error

    def copy(lines: Path, columns: dict[str, Kind], path: Path) -> None:
        kinds = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items())
        # Neither settings of a user nor anything from the network: what is needed is in the wheel.
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(":memory:", config=config) as database:
            source = f"read_json({_quoted(str(lines))}, format='newline_delimited', columns={{{kinds}}})"
            target = f"{_quoted(str(path))} (FORMAT parquet, COMPRESSION zstd)"
            try:
                database.execute(f"COPY (SELECT * FROM {source}) TO {target}")  # noqa: S608 - all parts are quoted
            except duckdb.IOException as error:
                raise OSError(None, str(error)) from error

    return copy


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
