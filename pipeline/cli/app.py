"""The program ``dpcam``: the tree of commands, and the one place that turns errors into exit codes."""

from __future__ import annotations

import contextlib
import errno
import io
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from types import FrameType
from typing import Annotated, Any

import typer
import typer.main
from typer.exceptions import TyperException

from calibration.errors import BadInput, BadUsage, DpcamError, Interrupted, NotReady
from pipeline.cli import (
    bench,
    calibrate,
    camera,
    eot,
    lab,
    models,
    noise,
    paper,
    planning,
    printing,
    reporting,
    scoring,
    session,
    sessions,
    train,
    twin,
)
from pipeline.cli.command import new_group
from pipeline.cli.output import print_result, take_streams
from pipeline.result import Result

TYPER_INTERRUPTED = 130
"""What typer gives back when it swallows an interruption."""

LONGEST_SHOWN = 120

app = new_group("Train, print, capture, localize and score defensive patches. `dpcam demo` shows all of it.")
for module in (
    lab,
    models,
    train,
    printing,
    paper,
    calibrate,
    camera,
    eot,
    planning,
    sessions,
    scoring,
    reporting,
    session,
    twin,
    noise,
    bench,
):
    module.register(app)


@app.callback()
def program(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """What comes before a command; the version is said by :func:`_answer`, as an answer like any other."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point: run one command, print its answer, exit with its code."""
    take_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in _before_separator(words)
    words = [word for i, word in enumerate(words) if word != "--json" or i >= len(_before_separator(words))]
    root = typer.main.get_command(app)
    with _ended_by() as exit_code:
        result = _run(root, words, as_json, exit_code)
    if argv is None:
        # What is left is to say how it ended: one more Ctrl-C must not turn that into a death by signal.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    written = print_result(_command_path(root, words), result, as_json=as_json)
    sys.exit(result.exit_code if written else result.exit_code or NotReady.exit_code)


@contextlib.contextmanager
def _ended_by() -> Iterator[Callable[[], int]]:
    """Within: SIGTERM interrupts as SIGINT does. Yields what to exit with after an interruption."""
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: 128 + (seen[0] if seen else signal.SIGINT)
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(root: Any, words: list[str], as_json: bool, interrupted: Callable[[], int]) -> Result:
    """Run the command; whatever goes wrong becomes a :class:`Result` with its error."""
    try:
        return _answer(root, words, as_json)
    except TyperException as error:
        return Result(errors=[BadUsage(error.format_message(), hint=_usage_hint(root, words))])
    except DpcamError as error:
        return Result(errors=[error])
    except KeyboardInterrupt:
        message = "interrupted; what was finished is kept"
        return Result(errors=[Interrupted(message, exit_code=interrupted(), hint="run again")])
    except ImportError as error:
        return Result(errors=[_import_problem(error)])
    except Exception as error:
        return Result(errors=[_unforeseen(error)])


def _answer(root: Any, words: list[str], as_json: bool) -> Result:
    if words[:1] == ["--version"]:
        version = metadata.version("dpcam")
        return Result(data={"version": version}, lines=[f"dpcam {version}"])
    printed = io.StringIO()
    catch = contextlib.redirect_stdout(printed) if as_json else contextlib.nullcontext()
    with catch:
        answer = root.main(args=words, prog_name="dpcam", standalone_mode=False)
    if isinstance(answer, Result):
        return answer
    if answer == TYPER_INTERRUPTED:
        raise KeyboardInterrupt
    return Result(data={"help": printed.getvalue()} if as_json else {})


def _before_separator(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _command_path(root: Any, words: Sequence[str]) -> list[str]:
    """The names of the commands in ``words``, as far as they exist."""
    path: list[str] = []
    node = root
    for word in words:
        node = getattr(node, "commands", {}).get(word)
        if node is None:
            break
        path.append(word)
    return path


def _usage_hint(root: Any, words: Sequence[str]) -> str:
    return " ".join(["see: dpcam", *_command_path(root, words), "--help"])


def _import_problem(error: ImportError) -> DpcamError:
    """A package that does not load: a missing system library of OpenCV has its own words."""
    if "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error):
        return NotReady(
            f"OpenCV cannot be loaded: {error}",
            hint="install the system's libgl1 and libglib2.0-0, or: pip install --force-reinstall --no-deps "
            "opencv-python-headless at the version of opencv-python",
        )
    return NotReady(f"a package of dpcam cannot be loaded: {error}", hint="dpcam doctor")


def _unforeseen(error: Exception) -> DpcamError:
    """Names that no file can have, and folders that may not be looked into, are nobody's bug."""
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.EACCES) and error.filename:
        path = str(error.filename)
        shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}..."
        return BadInput(f"cannot use {shown}: {error.strerror}", where=shown)
    traceback.print_exc(file=sys.stderr)
    return DpcamError(
        f"bug in dpcam: {type(error).__name__}: {error}", hint="please report it with the lines printed above"
    )


if __name__ == "__main__":
    main()
