"""What a command answers: frozen values. One place prints them (`pipeline/cli/output.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from calibration.errors import DpcamError, Incomplete, LimitNotMet

Status = Literal["success", "partial", "error"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people: a title, column heads, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of a command.

    ``data`` goes into the JSON envelope and must be JSON-serializable; ``lines`` and ``tables`` are the same answer for
    people. ``errors`` that are :class:`Incomplete` or :class:`LimitNotMet` leave the data valid (status ``partial``).
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    lines: Sequence[str] = ()
    tables: Sequence[Table] = ()
    errors: Sequence[DpcamError] = ()

    @property
    def status(self) -> Status:
        """``success`` without errors, ``partial`` when the data stand in spite of them, else ``error``."""
        if not self.errors:
            return "success"
        finished = all(isinstance(error, Incomplete | LimitNotMet) for error in self.errors)
        return "partial" if finished else "error"

    @property
    def exit_code(self) -> int:
        """0, or the exit code of the first error."""
        return self.errors[0].exit_code if self.errors else 0


def envelope(command: Sequence[str], result: Result) -> dict[str, Any]:
    """The versioned JSON object that every command prints with ``--json``."""
    return {
        "dpcam_result": 1,
        "command": list(command),
        "status": result.status,
        "exit_code": result.exit_code,
        "data": dict(result.data),
        "errors": [
            {"code": error.code, "message": error.message, "hint": error.hint, "where": error.where}
            for error in result.errors
        ],
    }
