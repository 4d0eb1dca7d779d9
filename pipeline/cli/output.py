"""The one place that prints: answers to stdout, everything else to stderr."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.result import Result, Table, envelope

LOG_COLUMNS = 140


def take_streams() -> None:
    """Make stdout and stderr such that writing any text to them works, whatever this process was started with."""
    if sys.stdout is None or sys.stderr is None:
        # Closed by who started us. Something must stand there, or the next file that is opened gets its number.
        nowhere = Path(os.devnull).open("w")  # noqa: SIM115
        sys.stdout, sys.stderr = sys.stdout or nowhere, sys.stderr or nowhere
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_result(command: Sequence[str], result: Result, *, as_json: bool) -> bool:
    """Print the answer: one JSON object, or lines and tables for people; errors go to stderr as one line each.

    False when nobody takes the answer: the reader has gone, or its disk is full.
    """
    for error in result.errors:
        hint = f" ({error.hint})" if error.hint else ""
        sys.stderr.write(f"dpcam: {error.message}{hint}\n")
    try:
        if as_json:
            sys.stdout.write(json.dumps(envelope(command, result), allow_nan=False) + "\n")
        else:
            _print_for_people(result)
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"dpcam: the answer cannot be written: {error.strerror}\n")
        # What is left in the buffer would be tried again, and fail again, at exit.
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115
        return False
    return True


def note(line: str) -> None:
    """One line of progress or warning on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float, str], None]]:
    """A callback ``(share done 0..1, text)`` that draws a bar when stderr is a terminal, and does nothing otherwise."""
    if not sys.stderr.isatty():
        yield lambda share, text: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0, text="")
        yield lambda share, text: bar.update(task, completed=share, text=text)


def _print_for_people(result: Result) -> None:
    from rich.console import Console

    # A pipe or a log has no width of its own; a table cut to 80 columns would lose its heads.
    width = None if sys.stdout.isatty() else LOG_COLUMNS
    console = Console(highlight=False, markup=False, width=width)
    for table in result.tables:
        console.print(_rich_table(table))
    for line in result.lines:
        console.print(line, soft_wrap=True)


def _rich_table(table: Table) -> object:
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=Text(table.title) if table.title else None)
    for column in table.columns:
        drawn.add_column(Text(column))
    for row in table.rows:
        drawn.add_row(*[Text(cell) for cell in row])
    return drawn
