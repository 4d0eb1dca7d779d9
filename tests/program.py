"""The installed program as a script calls it: a process of its own, exit code and JSON envelope checked.

No setting of the person who runs the tests reaches it: neither ``DPCAM_*`` nor their own settings file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("dpcam")
ENVELOPE = {"dpcam_result", "command", "status", "exit_code", "data", "errors"}
ERROR = {"code", "message", "hint", "where"}
STATUS = {0: "success", 5: "partial", 6: "partial"}
KEPT = {"DPCAM_DATA"}


def dpcam(*words: object, cwd: Path, typed: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; ``typed`` is what somebody types meanwhile."""
    return subprocess.run(
        _words(words),
        cwd=cwd,
        env=_environ(environ),
        capture_output=True,
        text=True,
        timeout=300,
        input=typed,
    )


def answer(done: subprocess.CompletedProcess[str]) -> dict:
    """The envelope, if it is one."""
    assert len(done.stdout.splitlines()) == 1, done.stdout + done.stderr
    envelope = json.loads(done.stdout)
    assert set(envelope) == ENVELOPE
    assert envelope["dpcam_result"] == 1
    assert envelope["exit_code"] == done.returncode, done.stderr
    assert envelope["status"] == STATUS.get(done.returncode, "error")
    assert all(set(error) == ERROR for error in envelope["errors"])
    assert bool(envelope["errors"]) == bool(done.returncode)
    assert "Traceback" not in done.stderr, done.stderr
    return envelope


def ask(*words: object, cwd: Path, code: int | tuple[int, ...] = 0, **environ: str) -> dict:
    """The envelope of a command that ends with ``code``, or one of them."""
    done = dpcam(*words, "--json", cwd=cwd, **environ)
    assert done.returncode in (code if isinstance(code, tuple) else (code,)), done.stderr + done.stdout
    return answer(done)


def data(*words: object, cwd: Path, code: int | tuple[int, ...] = 0, **environ: str) -> dict:
    """What a command answers."""
    return ask(*words, cwd=cwd, code=code, **environ)["data"]


def start(*words: object, cwd: Path) -> subprocess.Popen[str]:
    """Begin a command, to be ended by the caller."""
    return subprocess.Popen(
        _words((*words, "--json")),
        cwd=cwd,
        env=_environ({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """The end of a command that was begun."""
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_until(true: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    """Wait for something that ``process`` is to bring about."""
    begin = time.monotonic()
    while not true():
        assert process.poll() is None, f"it ended with {process.returncode}: {process.communicate()}"
        assert time.monotonic() - begin < seconds
        time.sleep(0.01)


def _words(words: tuple[object, ...]) -> list[str]:
    return [str(PROGRAM), *map(str, words)]


def _environ(given: dict[str, str]) -> dict[str, str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DPCAM_") or key in KEPT}
    alone = {"XDG_CONFIG_HOME": os.devnull, "OMP_NUM_THREADS": "1"}
    return {**inherited, **alone, **given}
