"""Any command as a rig: run once for each shot, JSON in, JSON out."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import RigGone
from calibration.sheet import Sheet
from capture.plan import Shot
from capture.rigs.base import Ended, Prepared
from capture.rigs.message import LONGEST_ANSWER, request_for, shown, understood
from capture.rigs.waiting import STEP_S, StopAsked, Waiting

WHERE = "rig.exec"
LONGEST_TALK = 2**20
"""Bytes on stderr, the end of which is shown when the program fails."""

GRACE_S = 2.0
"""From the request to end (SIGTERM), in which a program can stop its motors, to the end (SIGKILL)."""


@dataclass(frozen=True, slots=True)
class _Said:
    out: bytes
    err: bytes

    @property
    def too_much(self) -> bool:
        return len(self.out) > LONGEST_ANSWER or len(self.err) > LONGEST_TALK


class CommandRig:
    """Runs ``argv`` in ``folder``, without a shell, in a process group of its own that is ended with it.

    The program gets the request on stdin, answers on stdout, and ends with 0. Where it hangs, crashes or answers
    anything else, :class:`RigGone` ends the capture, which can be resumed.
    """

    def __init__(self, argv: Sequence[str], folder: Path, timeout_s: float, waiting: Waiting) -> None:
        self._argv = tuple(argv)
        self._name = f"the rig's command {argv[0]}"
        self._folder = folder
        self._timeout_s = timeout_s
        self._waiting = waiting

    def prepare(self, shot: Shot, sheet: Sheet) -> Prepared:
        """Run the command for this shot."""
        try:
            said = self._run(request_for(shot, sheet))
        except StopAsked as stopped:
            return Ended(stopped.reason)
        return understood(said, self._name)

    def _run(self, request: bytes) -> bytes:
        process = self._start()
        try:
            said = self._waiting.until(_Listener(process, request).said, self._timeout_s)
        finally:
            _end(process)
        if said is None:
            raise RigGone(
                f"{self._name} did not end within {self._timeout_s:g} s",
                hint="where it needs longer, raise rig.exec.timeout_s",
                where=WHERE,
            )
        if said.too_much:
            limits = f"up to {LONGEST_ANSWER} bytes are taken, and {LONGEST_TALK} on stderr"
            raise RigGone(f"{self._name} does not stop talking; {limits}", where=WHERE)
        if process.returncode:
            raise RigGone(f"{self._name} {_how(process.returncode)}{_last_words(said.err)}", where=WHERE)
        return said.out

    def _start(self) -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        try:
            return subprocess.Popen(
                self._argv, cwd=self._folder, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise RigGone(f"{self._name} cannot be started: {error}", where=WHERE) from error


class _Listener:
    """Talks to a program until it ends, or says more than an answer."""

    def __init__(self, process: subprocess.Popen[bytes], request: bytes) -> None:
        self._process = process
        self._request: bytes | None = request
        self._ended = False

    def said(self) -> _Said | None:
        """All that was said, once the program has ended; None while it runs."""
        ended, self._ended = self._ended, self._process.poll() is not None
        request, self._request = self._request, None
        try:
            return _Said(*self._process.communicate(request, timeout=STEP_S))
        except subprocess.TimeoutExpired as waiting:
            said = _Said(waiting.output or b"", waiting.stderr or b"")
        # When it has ended: what it left running holds its stdout, and says nothing that counts.
        return said if ended or said.too_much else None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program with all that it started, unless it has ended by itself."""
    if process.poll() is None:
        try:
            _signal(process, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
        finally:
            _signal(process, signal.SIGKILL)
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with suppress(OSError):
                pipe.close()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _how(code: int) -> str:
    return f"ended with exit code {code}" if code > 0 else f"was ended by signal {-code}"


def _last_words(err: bytes) -> str:
    lines = err.strip().splitlines()
    return f": {shown(lines[-1])}" if lines else ""
