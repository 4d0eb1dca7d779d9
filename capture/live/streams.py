"""What a server sends without end: events as they happen, pictures as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from capture.control import Control
from capture.live.answers import Status
from capture.live.preview import Preview
from capture.session import JOURNAL

POLL_S = 0.05
QUIET_S = 10.0
"""After so long without news a stream says that it is still there."""

BOUNDARY = "dpcam-frame"
REPEAT_S = 1.0
"""A picture is sent again after so long without a newer one, so that a viewer sees that the stream lives."""


def status(control: Control, preview: Preview) -> Status:
    """Where the capture stands, and what was seen last."""
    return Status(capture=control.state(), sight=preview.sight)


async def events(control: Control, preview: Preview, after: int | None) -> AsyncIterator[str]:
    """Server-sent events: ``status`` at once and at every change, ``journal`` for each line that the session gains.

    The id of a journal event is its number there. ``after``: begin with the journal's event after that number; without
    it, with what happens from now on. The stream ends with the capture.
    """
    journal = _Tail(control, after)
    told: tuple[int, int] | None = None
    quiet_s = 0.0
    while True:
        over = control.closed
        news = list(journal.news())
        if told != (now := _change(control, preview)):
            told = now
            news.append(_event("status", status(control, preview).model_dump_json()))
        for each in news:
            yield each
        if over:
            return
        quiet_s = 0.0 if news else quiet_s + POLL_S
        if quiet_s >= QUIET_S:
            quiet_s = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(POLL_S)


def _change(control: Control, preview: Preview) -> tuple[int, int]:
    return control.revision, preview.sight.number if preview.sight else 0


class _Tail:
    """The journal as its file grows; the recorder is not asked."""

    def __init__(self, control: Control, after: int | None) -> None:
        self._control = control
        self._after = after
        self._offset: int | None = None if after is None else 0
        self._number = 0

    def news(self) -> Iterator[str]:
        """The whole lines that were added since."""
        session = self._control.session
        if session is None:
            self._offset = 0
            return
        path = session.folder / JOURNAL
        if self._offset is None:
            self._number, self._offset = _whole(path)
        for line in self._lines(path):
            if self._after is None or self._number > self._after:
                yield _event("journal", line, self._number)
            self._number += 1

    def _lines(self, path: Path) -> list[str]:
        with path.open("rb") as stream:
            stream.seek(self._offset or 0)
            added, newline, _ = stream.read().rpartition(b"\n")
        self._offset = (self._offset or 0) + len(added) + len(newline)
        return added.decode("utf-8", "replace").splitlines()


def _whole(path: Path) -> tuple[int, int]:
    """How many whole lines a journal has, and how many bytes these are."""
    data = path.read_bytes()
    return data.count(b"\n"), data.rfind(b"\n") + 1


def _event(kind: str, line: str, number: int | None = None) -> str:
    return f"event: {kind}\n" + (f"id: {number}\n" if number is not None else "") + f"data: {line}\n\n"


async def pictures(control: Control, preview: Preview) -> AsyncIterator[bytes]:
    """Motion JPEG: each picture as soon as it is drawn; a slow reader gets fewer. It ends with the capture."""
    head = f"--{BOUNDARY}\r\n".encode()
    yield head
    number = 0
    while not control.closed:
        found = await asyncio.to_thread(preview.newer, number, REPEAT_S)
        found = found or await asyncio.to_thread(preview.newer, -1, 0.0)
        if found is None:
            continue
        number = found.number
        lines = f"Content-Type: image/jpeg\r\nContent-Length: {len(found.jpeg)}\r\nX-Number: {number}\r\n\r\n"
        # The boundary goes with the picture: a browser shows a part when it has seen its end.
        yield lines.encode() + found.jpeg + b"\r\n" + head
