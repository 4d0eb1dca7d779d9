"""The documents say what is so: the tutorial runs, commands and links exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer.main
from conftest import ROOT
from program import dpcam
from typer.core import TyperGroup

from pipeline.cli.app import app

DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
FEWER_SHOTS = '[plan]\ndistances_mm = [1200.0, 2200.0]\nyaws_deg = [0.0]\nlights = ["day"]\n'
"""Instead of the default plan, written into lab.toml right after ``dpcam init``: 14 shots, not 126."""


def console_lines(text: str) -> list[str]:
    """What is typed in the ``console`` blocks."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return [line[2:] for line in lines]


def commands() -> dict[tuple[str, ...], set[str]]:
    """Every command and every group as words → its options."""

    def below(node: object, path: tuple[str, ...]) -> dict[tuple[str, ...], set[str]]:
        found = {path: {"--help", *(option for parameter in node.params for option in parameter.opts)}}
        for name, child in getattr(node, "commands", {}).items():
            found |= below(child, (*path, name))
        return found

    tree = below(typer.main.get_command(app), ())
    return {path: options for path, options in tree.items() if path}


def works_alone(name: str) -> bool:
    """Whether it is a command by itself, even with commands below it: ``print LABEL`` beside ``print verify``."""
    return not isinstance(typer.main.get_command(app).commands[name], TyperGroup)


def calls(text: str) -> list[list[str]]:
    """The words after each ``dpcam`` in code."""
    inline = re.findall(r"`dpcam ([a-z][^`]*)`", text)
    shown = re.findall(r"^(?:    |\$ )dpcam ([a-z].*)$", text, re.MULTILINE)
    return [call.partition(" #")[0].split() for call in inline + shown]


def named(call: list[str]) -> list[tuple[str, ...]]:
    """The commands of a call; ``models add, check`` names two of a group."""
    group, *rest = call
    if not rest or not any(path[:1] == (group,) and len(path) == 2 for path in commands()):
        return [(group,)]
    if (group, rest[0]) not in commands() and works_alone(group):
        return [(group,)]
    count = next(i for i, word in enumerate([*rest, ""]) if not word.endswith(",")) + 1
    return [(group, word.rstrip(",")) for word in rest[:count]]


def wrong(call: list[str]) -> list[str]:
    """What of a call does not exist."""
    paths = named(call)
    unknown = [" ".join(path) for path in paths if path not in commands()]
    options = {word.partition("=")[0].rstrip(".,;:") for word in call if word.startswith("--")}
    known = set().union(*(commands().get(path, set()) for path in paths))
    return unknown or [f"{' '.join(paths[0])} {option}" for option in options - known]


@pytest.mark.slow
def test_the_tutorial_runs_as_it_stands(tmp_path: Path):
    where, session = tmp_path, ""
    for line in console_lines(TUTORIAL):
        program, *words = shlex.split(line)
        if program == "cd":
            where = where / words[0]
            continue
        assert program == "dpcam", line
        done = dpcam(*[session if word == "SESSION" else word for word in words], cwd=where)
        allowed = {0, 6} if words[0] == "report" else {0}
        assert done.returncode in allowed, f"{line}: {done.stderr}"
        assert done.stdout.strip(), f"{line} answers nothing"
        if words[0] == "init":
            settings = tmp_path / words[1] / "lab.toml"
            settings.write_text(settings.read_text().partition("[plan]")[0] + FEWER_SHOTS)
        if words[0] == "capture":
            session = done.stdout.splitlines()[-1]
            assert (where / session / "session.json").is_file()
    assert (where / session / "seal.json").is_file()
    assert list((where / session / "derived").glob("report-*.html"))
    assert (where / "patches" / "general-caution.json").is_file()
    assert len(list((where / "paper").glob("*.pdf"))) >= 1


def test_the_tutorial_shows_every_step_of_an_experiment():
    shown = {line.split()[1] for line in console_lines(TUTORIAL) if line.startswith("dpcam")}
    assert {"init", "train", "print", "plan", "capture", "localize", "score", "report"} <= shown


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_that_is_named_exists(path: Path):
    assert not [problem for call in calls(path.read_text()) for problem in wrong(call)]


def test_the_readme_s_table_has_every_command():
    table = "\n".join(line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| `dpcam"))
    groups = {path[0] for path in commands() if len(path) == 2}
    every = {path for path in commands() if len(path) == 2 or path[0] not in groups or works_alone(path[0])}
    assert {path for call in calls(table) for path in named(call)} == every


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path):
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text())
    broken = [link for link in links if not re.match(r"https?://", link) and not leads_somewhere(path, link)]
    assert not broken


def leads_somewhere(document: Path, link: str) -> bool:
    target, _, anchor = unquote(link).partition("#")
    file = document.parent / target if target else document
    if not file.exists() or ROOT not in (file.resolve(), *file.resolve().parents):
        return False
    return not anchor or anchor in {in_link(line) for line in file.read_text().splitlines() if line.startswith("#")}


def in_link(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lstrip("# ").lower()).replace(" ", "-")


def test_exit_codes_are_those_of_the_errors():
    from calibration import errors

    documented = dict(
        re.findall(r"^\| `(\w[\w-]*)` \| (\d+)", (ROOT / "docs" / "exit-codes.md").read_text(), re.MULTILINE)
    )
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DpcamError)]
    assert documented == {kind.code: str(kind.exit_code) for kind in kinds}
