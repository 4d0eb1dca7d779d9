"""Another tool to be compared with: in an environment of its own, as a process that answers line by line.

That environment finds dpcam's packages as well, so that both run the same torch and the same converted network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any, cast

from calibration.errors import Incomplete
from calibration.files import make_folder, write_text

TOOL = "adversarial-robustness-toolbox"
PACKAGES = (f"{TOOL}==1.20.1", "torchvision")
SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "art_patch.py"


@dataclass(frozen=True, slots=True)
class Rival:
    """The running process."""

    questions: IO[str]
    answers: IO[str]
    complaints: IO[str]

    def ask(self, question: Any) -> Any:
        """JSON for JSON; :class:`Incomplete` with its last words when it has died."""
        try:
            self.questions.write(json.dumps(question) + "\n")
            self.questions.flush()
            line = self.answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.complaints.seek(0)
            raise Incomplete(f"{TOOL} did not run: {_last_line(self.complaints.read())}", where=str(SCRIPT))
        return json.loads(line)


@contextmanager
def start_rival(python: Path) -> Iterator[Rival]:
    """The script in that environment; it ends when nothing more is asked."""
    if not SCRIPT.is_file():
        raise Incomplete(f"{SCRIPT.name} is not there: it comes with dpcam's source", where=str(SCRIPT))
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [python, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=complaints, text=True
        ) as process,
    ):
        try:
            yield Rival(cast(IO[str], process.stdin), cast(IO[str], process.stdout), complaints)
        except BaseException:
            process.kill()
            raise


def rival_environment(folder: Path, *, timeout_s: float) -> Path:
    """The environment's Python; it is made in ``folder`` where it is not there yet.

    Raises :class:`Incomplete` when what it needs cannot be installed, or not in ``timeout_s``.
    """
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done, wanted = folder / ".ready", "\n".join([sys.prefix, *_requirements()])
    if done.is_file() and done.read_text() == wanted:
        return python
    make_folder(folder)
    _call([sys.executable, "-m", "venv", "--without-pip", str(folder)], timeout_s)
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    sites = "".join(f"site.addsitedir({sysconfig.get_path(name)!r}); " for name in ("purelib", "platlib"))
    write_text(Path(own) / "dpcam-packages.pth", f"import site; {sites}\n")
    install = ["install", "--quiet", "--disable-pip-version-check", "--no-input", *_requirements()]
    _call([sys.executable, "-m", "pip", "--python", str(python), *install], timeout_s)
    write_text(done, wanted)
    return python


def _requirements() -> list[str]:
    """The tool, and torch as it is here: without its local part, so that no other build is fetched."""
    return [*PACKAGES, f"torch=={metadata.version('torch').split('+')[0]}"]


def _call(words: Sequence[str], timeout_s: float) -> None:
    hint = f"it needs {', '.join(PACKAGES)} from a package index"
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        hint = "run dpcam bench train once without --quick: it waits longer, and what it made stays"
        raise Incomplete(f"{TOOL} could not be installed within {timeout_s:.0f} s", hint=hint) from error
    if done.returncode:
        raise Incomplete(f"{TOOL} could not be installed: {_last_line(done.stderr or done.stdout)}", hint=hint)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"
