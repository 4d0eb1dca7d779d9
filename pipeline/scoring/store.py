"""Answers as they are kept: one file of lines for each recognizer, begun, cut off, gone on with, and read again.

A file's name says what it was made with, its lines say of which pictures. Lines are whole chunks of samples, which are
written in one piece; what does not fit the pictures at hand, and what a kill has torn, is made again from there on.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, overload

from pydantic import TypeAdapter, ValidationError

from calibration.errors import BadConfig, MissingFile, SessionLocked
from calibration.files import first_problem, make_folder, not_writable, sync_folder
from pipeline.scoring.answering import Answerer
from pipeline.scoring.engine import CHUNK
from pipeline.scoring.score import Answer, Line, Sample, Tally

_LINE = TypeAdapter(Line)
BLOCK = 2**20

Key = tuple[str, int, str, int]
"""View, repeat, noise and severity of a line."""


class Page:
    """The answers of one recognizer, counted as they come, and kept in a file if ``path`` is given."""

    def __init__(self, answerer: Answerer, shown: Sequence[tuple[str, int]], path: Path | None) -> None:
        """Open the file for reading what is in it; it is there from now on, and locked until :meth:`close`."""
        self.answerer = answerer
        self.path = path
        self.tally = Tally()
        noises = [("none", 0), *((noise.name, noise.severity) for noise in answerer.noises)]
        self._keys: list[Key] = [(*each, *noise) for each in shown for noise in noises]
        self._file = _opened(path) if path else None
        self._reading = path is not None
        self._whole = 0

    def knows(self, chunk: Sequence[Sample]) -> bool:
        """Whether the file holds all answers of the next chunk; if not, it ends before it from now on."""
        if not self._reading or self._file is None:
            return False
        lines = self._next(self._file, chunk)
        if lines is None:
            self._cut()
            return False
        for line in lines:
            self.tally.add(line)
        return True

    def add(self, lines: Sequence[Line]) -> None:
        """Count the answers of the next chunk and write them, in one piece."""
        for line in lines:
            self.tally.add(line)
        if self._file is not None and self.path is not None:
            try:
                self._file.write(b"".join(_LINE.dump_json(line) + b"\n" for line in lines))
                self._file.flush()
            except OSError as error:
                raise not_writable(self.path, error) from error

    def finish(self) -> None:
        """All samples were there: nothing is left behind them, and what was written stays."""
        if self._file is None or self.path is None:
            return
        if self._reading:
            self._cut()
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise not_writable(self.path, error) from error

    def close(self) -> None:
        """Let go of the file as it is; safe to call twice."""
        if self._file is not None:
            # What could not be written was said when it was.
            with suppress(OSError):
                self._file.close()

    def _next(self, file: BinaryIO, chunk: Sequence[Sample]) -> list[Line] | None:
        """The answers of a chunk, if they are all there; a last chunk that is not full must be the last in the file."""
        size, lines = 0, []
        for sample in chunk:
            for key in self._keys:
                raw = file.readline()
                line = _parsed(raw)
                if line is None or not _answers(line, sample, key):
                    return None
                size += len(raw)
                lines.append(line)
        if len(chunk) < CHUNK and file.read(1):
            return None
        self._whole += size
        return lines

    def _cut(self) -> None:
        """End the file after its whole chunks, and write from there on."""
        if self._file is None or self.path is None:
            return
        self._reading = False
        try:
            if self._file.seek(0, os.SEEK_END) > self._whole:
                self._file.truncate(self._whole)
            self._file.seek(self._whole)
        except OSError as error:
            raise not_writable(self.path, error) from error


@dataclass(frozen=True, slots=True)
class KeptAnswers(Sequence[Answer]):
    """The answers in these files, read anew each time that somebody goes through them: they may be more than fit."""

    paths: tuple[Path, ...] = ()

    def __iter__(self) -> Iterator[Answer]:
        for path in self.paths:
            for number, raw in enumerate(_lines(path)):
                try:
                    yield _LINE.validate_json(raw)
                except ValidationError as error:
                    where = f"{path}, line {number + 1}"
                    raise BadConfig(f"{where}: {first_problem(error)}", hint="score again", where=where) from error

    def __len__(self) -> int:
        return sum(1 for path in self.paths for _ in _lines(path))

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Answer]: ...
    def __getitem__(self, index: int | slice) -> Answer | Sequence[Answer]:
        """Reads all of them; for going through them there is iteration."""
        return list(self)[index]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within: nobody else writes into ``folder``, which is made; :class:`SessionLocked` when somebody does."""
    make_folder(folder)
    descriptor = _lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    """A descriptor of the folder with the system's lock on it, which goes with the process, however it ends."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise not_writable(folder, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        hint = "wait for it, or end it"
        raise SessionLocked(f"{folder} is being written by another process", hint=hint, where=str(folder)) from error
    return descriptor


def join(paths: Sequence[Path], into: Path) -> None:
    """Write all files one after the other into one, durably; however large they are, little of it is held."""
    aside = into.with_name(f".{into.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as stream:
            for path in paths:
                _copy(path, stream)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(into)
        sync_folder(into.parent)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise not_writable(into, error) from error


def _copy(path: Path, into: BinaryIO) -> None:
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            into.write(block)


def _opened(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b")
    except OSError as error:
        raise not_writable(path, error) from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as stream:
            yield from stream
    except OSError as error:
        raise MissingFile(f"cannot read {path}: {error.strerror}", hint="score again", where=str(path)) from error


def _parsed(raw: bytes) -> Line | None:
    """A line, if it is whole and one of ours."""
    if not raw.endswith(b"\n"):
        return None
    try:
        return _LINE.validate_json(raw)
    except ValidationError:
        return None


def _answers(line: Line, sample: Sample, key: Key) -> bool:
    asked = (sample.name, sample.sha256, sample.arm, sample.cell, sample.cluster)
    return (line.view, line.repeat, line.noise, line.severity) == key and asked == (
        line.sample,
        line.sha256,
        line.arm,
        line.cell,
        line.cluster,
    )
