"""How a command is declared: a function that returns a :class:`Result`, with ``--json`` on every one of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from pipeline.result import Result

CommandT = TypeVar("CommandT", bound=Callable[..., Result])

JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]
LabOption = Annotated[Path, typer.Option("--lab", help="The lab folder (with lab.toml).", metavar="DIR")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all randomness.", min=0, max=2**32 - 1)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def new_group(text: str) -> typer.Typer:
    """A group of commands without typer's own decorations: errors are printed by `pipeline/cli/app.py`."""
    return typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


def command(group: typer.Typer, name: str) -> Callable[[CommandT], CommandT]:
    """Declare a command of ``group``; its signature gains ``--json``, which `main` has already taken."""

    def declare(function: CommandT) -> CommandT:
        hints = get_type_hints(function, include_extras=True)
        parameters = [
            parameter.replace(annotation=hints[parameter.name])
            for parameter in inspect.signature(function).parameters.values()
        ]
        json_parameter = inspect.Parameter(
            "json_", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption
        )

        @functools.wraps(function)
        def run(*args: Any, json_: bool = False, **kwargs: Any) -> Result:
            return function(*args, **kwargs)

        run.__signature__ = inspect.Signature([*parameters, json_parameter])  # type: ignore[attr-defined]
        run.__annotations__ = {**hints, "json_": JsonOption}
        group.command(name)(run)
        return function

    return declare
