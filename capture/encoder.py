"""Pictures of a session as the bytes of their files: the camera's own, or in the format that the session keeps to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from calibration.files import write_bytes
from capture.codecs import choose, encode, try_codecs
from capture.frame import Clock, Frame
from capture.picture import Pixels
from capture.storage import SUFFIXES, Codec, Storage


class Encoder:
    """Encodes as ``storage`` asks; ``auto`` is decided by the first raw picture, and ``note`` is told of it.

    ``trial``: where a file may lie for the moment that it takes to measure how long storing one takes.
    """

    def __init__(self, storage: Storage, trial: Path, clock: Clock, note: Callable[[str], None]) -> None:
        self._storage = storage
        self._trial = trial
        self._clock = clock
        self._note = note
        self._codec: Codec | None = None

    def encoded(self, frame: Frame) -> tuple[bytes, str]:
        """The camera's own bytes, or pixels in the lossless format of this session; and the suffix of either."""
        if frame.encoded:
            return frame.encoded, frame.suffix
        codec = self.codec_for(frame.pixels)
        return encode(frame.pixels, codec), SUFFIXES[codec]

    def codec_for(self, pixels: Pixels) -> Codec:
        """The format of this session, by a picture like those that will come."""
        if self._codec is None:
            self._codec = self._measured(pixels) if self._storage.codec == "auto" else self._storage.codec
        return self._codec

    def _measured(self, pixels: Pixels) -> Codec:
        """Try on the spot, and say what was found."""
        try:
            trials = try_codecs(pixels, self._storage, partial(write_bytes, self._trial), self._clock)
        finally:
            with suppress(OSError):  # what stays is swept away when the session is resumed
                self._trial.unlink()
        codec = choose(trials, self._storage)
        found = ", ".join(str(each) for each in trials)
        self._note(f"pictures are stored as {codec}, for {self._storage.frames_per_s:g} a second: {found}")
        return codec
