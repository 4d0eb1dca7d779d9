"""A serial line, read line by line; the one place that knows pyserial."""

from __future__ import annotations

from contextlib import suppress

import serial

from calibration.errors import RigGone
from capture.rigs.waiting import STEP_S

LONGEST_LINE = 1024


class SerialLine:
    """A serial port for one process alone. ``port``: a device, or an address such as ``socket://host:port``."""

    def __init__(self, port: str, baud: int) -> None:
        """Open it; :class:`RigGone` when it is not there, or in use."""
        self._name = port
        self._unread = bytearray()
        try:
            self._port = serial.serial_for_url(port, baud, timeout=STEP_S, write_timeout=2.0, exclusive=True)
        except (OSError, ValueError) as error:
            raise RigGone(
                f"the rig's serial port {port} cannot be opened: {error}",
                hint="is it plugged in, may you use it (group dialout), does another program have it?",
                where=port,
            ) from error

    def write(self, data: bytes) -> None:
        """Send; :class:`RigGone` when the device is gone."""
        try:
            self._port.write(data)
        except OSError as error:
            raise self._gone(error) from error

    def line(self) -> str | None:
        """The next line without its end, None when there is none for a moment; :class:`RigGone` as above.

        What is no ASCII is shown as escapes; a line without end comes in pieces.
        """
        if b"\n" not in self._unread:
            self._fill()
        end = self._unread.find(b"\n")
        if end < 0 and len(self._unread) < LONGEST_LINE:
            return None
        end = end if end >= 0 else LONGEST_LINE
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line.decode("ascii", "backslashreplace").strip("\r\x00 ")

    def close(self) -> None:
        """Give the port back; safe to call twice."""
        with suppress(OSError):
            self._port.close()

    def _fill(self) -> None:
        try:
            self._unread += self._port.read(self._port.in_waiting or 1)
        except (OSError, TypeError) as error:  # TypeError: pyserial reads on after its port was closed
            raise self._gone(error) from error

    def _gone(self, error: BaseException) -> RigGone:
        return RigGone(
            f"the rig's serial port {self._name} is gone: {error}",
            hint="plug it in, then run again to resume",
            where=self._name,
        )
