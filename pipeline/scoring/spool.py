"""Crops that will be shown once more, kept in a temporary file: pictures are decoded once, memory stays as it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np

from calibration.errors import NotReady
from calibration.files import not_writable
from pipeline.scoring.score import Pixels, Shown


@dataclass(frozen=True, slots=True)
class _Kept:
    """Where the pixels of a crop lie in the file."""

    offset: int
    shape: tuple[int, ...]


class Spool:
    """A temporary file of crops; several threads may use it at once. A context manager: at its end the file is gone."""

    def __init__(self) -> None:
        """Open a file that has no name, where temporary files belong."""
        self._file = tempfile.TemporaryFile(prefix="dpcam-")  # noqa: SIM115
        self._lock = Lock()
        self.size = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def keep(self, shown: Sequence[Shown]) -> Callable[[], list[Shown]]:
        """Write the crops → what gives them again; :class:`DiskFull` where there is no room."""
        kept = [(each, None if isinstance(each.crop, tuple) else self._write(each.crop)) for each in shown]
        # What is remembered of each must not hold the pixels.
        light = [(replace(each, crop=("failed", "")) if place else each, place) for each, place in kept]
        return lambda: [replace(each, crop=self._read(place)) if place else each for each, place in light]

    def empty(self) -> None:
        """Forget everything that was kept."""
        self._file.truncate(0)
        self.size = 0

    def _write(self, pixels: Pixels) -> _Kept:
        data = np.ascontiguousarray(pixels).data.cast("B")
        with self._lock:
            offset = self.size
            self.size += len(data)
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._file.fileno(), data[done:], offset + done)
        except OSError as error:
            raise not_writable(Path(tempfile.gettempdir()), error) from error
        return _Kept(offset, pixels.shape)

    def _read(self, kept: _Kept) -> Pixels:
        pixels = np.empty(kept.shape, np.uint8)
        view, done = pixels.data.cast("B"), 0
        while done < len(view):
            count = os.preadv(self._file.fileno(), [view[done:]], kept.offset + done)
            if not count:
                raise NotReady("the temporary file of crops was cut off", where=tempfile.gettempdir())
            done += count
        return pixels
