"""The errors of dpcam: one tree, each leaf with a stable code, an exit code and a hint.

    DpcamError
    ├── BadUsage          2   usage            the call itself is wrong
    ├── BadInput          3   input            an input is invalid or missing
    │   ├── MissingFile   3   missing-file
    │   ├── BadConfig     3   config           lab.toml, plan, contract, sheet: a text that does not parse
    │   ├── BadModel      3   model            a recognizer that cannot be run as declared
    │   ├── BadImage      3   image            bytes that are no picture
    │   └── BadEvidence   3   evidence         an evidence pack that is unsafe, damaged or not what was packed
    ├── NotReady          4   not-ready        the world is not ready: retry later
    │   ├── CameraGone    4   camera
    │   ├── RigGone       4   rig
    │   ├── SessionLocked 4   locked
    │   ├── DiskFull      4   disk
    │   ├── NotNow        4   not-now          a running capture cannot do that now
    │   ├── NoProvider    4   provider
    │   ├── NoPrintServer 4   print-server     no print system answers
    │   └── NotPrinted    4   not-printed      no sheet came out
    │       ├── PrinterUnknown  4  printer-unknown
    │       ├── PrinterStopped  4  printer-stopped
    │       ├── PrintRefused    4  print-refused     the printer cannot do what is asked for
    │       │   └── MediaRefused  4  media-refused
    │       ├── JobAborted      4  job-aborted       ended by the printer or by somebody
    │       └── JobUnfinished   4  job-unfinished    not ended in the time given
    ├── Incomplete        5   incomplete       finished, but some shots or samples failed
    ├── LimitNotMet       6   limit            finished, but a stated limit is not met
    └── Interrupted     130   interrupted      consistent and resumable (143 after SIGTERM)

A message names the thing, the bad value and what would be accepted. Only ``pipeline/cli`` prints or exits.
"""

from __future__ import annotations


class DpcamError(Exception):
    """Base of all errors that dpcam raises on purpose.

    ``hint`` says what to do, ``where`` names the file or option, both may be empty.
    """

    code = "error"
    exit_code = 1

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where


class BadUsage(DpcamError):
    """The command was called with wrong words."""

    code = "usage"
    exit_code = 2


class BadInput(DpcamError):
    """An input is invalid or missing."""

    code = "input"
    exit_code = 3


class MissingFile(BadInput):
    """A file or folder that was named does not exist."""

    code = "missing-file"


class BadConfig(BadInput):
    """A text file (lab, plan, sheet, contract) does not say what it must."""

    code = "config"


class BadModel(BadInput):
    """A recognizer cannot be run as its contract declares."""

    code = "model"


class BadImage(BadInput):
    """A file is not a picture that can be decoded."""

    code = "image"


class BadEvidence(BadInput):
    """An evidence pack is unsafe to unpack, damaged, or holds other bytes than were packed."""

    code = "evidence"


class NotReady(DpcamError):
    """The world is not ready; the same call may work later."""

    code = "not-ready"
    exit_code = 4


class CameraGone(NotReady):
    """A camera cannot be opened, or stopped giving frames."""

    code = "camera"


class RigGone(NotReady):
    """A rig cannot be reached, hangs, is in alarm, or answers what is no answer; no shot is given up for that."""

    code = "rig"


class SessionLocked(NotReady):
    """Another process writes to the session."""

    code = "locked"


class DiskFull(NotReady):
    """Nothing more can be written."""

    code = "disk"


class NotNow(NotReady):
    """What somebody asks of a running capture does not fit what it is doing."""

    code = "not-now"


class NoProvider(NotReady):
    """The execution provider that was asked for is not available."""

    code = "provider"


class NoPrintServer(NotReady):
    """No print system answers at the address."""

    code = "print-server"


class NotPrinted(NotReady):
    """A print system answers, but no sheet came out; also a job that says "completed" and printed nothing."""

    code = "not-printed"


class PrinterUnknown(NotPrinted):
    """The print server has no printer of that name."""

    code = "printer-unknown"


class PrinterStopped(NotPrinted):
    """The printer is stopped, or stopped while the job waited."""

    code = "printer-stopped"


class PrintRefused(NotPrinted):
    """The printer takes no jobs, or cannot do what is asked for: scaling off, the resolution, the format."""

    code = "print-refused"


class MediaRefused(PrintRefused):
    """The printer has no paper of the sheet's size."""

    code = "media-refused"


class JobAborted(NotPrinted):
    """The printer gave the job up, or somebody canceled it."""

    code = "job-aborted"


class JobUnfinished(NotPrinted):
    """The job had not ended in the time given."""

    code = "job-unfinished"


class Incomplete(DpcamError):
    """The command finished, but some shots or samples failed."""

    code = "incomplete"
    exit_code = 5


class LimitNotMet(DpcamError):
    """The command finished, but a stated limit is not met."""

    code = "limit"
    exit_code = 6


class Interrupted(DpcamError):
    """Stopped by a signal; what is on disk is consistent and resumable."""

    code = "interrupted"
    exit_code = 130

    def __init__(self, message: str, *, exit_code: int = 130, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint, where=where)
        self.exit_code = exit_code
