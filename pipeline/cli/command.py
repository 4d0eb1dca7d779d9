"""How a command is declared: a function that returns a :class:`Result`, with ``--json`` on every one of them."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_type_hints

import typer
import typer.main
from typer.core import TyperCommand

from pipeline.result import Result

CommandT = TypeVar("CommandT", bound=Callable[..., Result])

JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON object on stdout.")]
LabOption = Annotated[Path, typer.Option("--lab", help="The lab folder (with lab.toml).", metavar="DIR")]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Seed of all randomness.", min=0, max=2**32 - 1)]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def new_group(text: str) -> typer.Typer:
    """A group of commands without typer's own decorations: errors are printed by `pipeline/cli/app.py`."""
    return typer.Typer(help=text, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)


class _CommandWithMore(TyperCommand):
    """A command that also works alone: ``dpcam print stop`` beside ``dpcam print verify``.

    The first word decides. A label that is called like a command is said after ``--``.
    """

    commands: ClassVar[Mapping[str, Any]] = {}

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        below = self.commands.get(args[0]) if args else None
        if below is None:
            return super().make_context(info_name, args, parent, **extra)
        return below.make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, below.get_short_help_str()) for name, below in self.commands.items()])


class _CommandWithBare(TyperCommand):
    """A command with options whose value may be left out."""

    bare: ClassVar[Mapping[str, str]] = {}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        parsed: list[str] = super().parse_args(ctx, list(self._filled(args)))
        return parsed

    def _filled(self, args: list[str]) -> Iterator[str]:
        for word, after in itertools.pairwise([*args, "--"]):
            yield word
            if word in self.bare and after.startswith("-"):
                yield self.bare[word]


def _class_of(below: typer.Typer | None, bare: Mapping[str, str]) -> type[TyperCommand]:
    if bare:
        return type("CommandWithBare", (_CommandWithBare,), {"bare": bare})
    if below is None:
        return TyperCommand
    return type("CommandWithMore", (_CommandWithMore,), {"commands": typer.main.get_group(below).commands})


def command(
    group: typer.Typer, name: str, *, below: typer.Typer | None = None, bare: Mapping[str, str] | None = None
) -> Callable[[CommandT], CommandT]:
    """Declare a command of ``group``; its signature gains ``--json``, which `main` has already taken.

    ``below``: a group whose commands follow its name. ``bare``: options that may be said without a value → which it is
    then; for a command without arguments.
    """

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
        group.command(name, cls=_class_of(below, bare or {}))(run)
        return function

    return declare
