"""A sheet to a printer: at true scale or not at all, and followed until it is on paper.

Nothing is printed before the print system has read back what it was asked for: the job is made without a document,
its settings are read, and only then is the document sent. Whatever ends the wait takes the job back, so that a script
that tries again does not print twice. A server's word that a job is completed is not the end: CUPS 2.4 says so of jobs
that the printer has aborted, so the printer behind the queue is asked, too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from calibration.errors import DpcamError, JobAborted, JobUnfinished, NotPrinted, NotReady, PrinterStopped, PrintRefused
from patches.ipp import Answer, Attribute, Attributes, Operation, Status, Tag, Value, ask, attribute
from patches.printers import Printer, find_printer, refuse_failure
from patches.ticket import PDF, START_HINT, PrintOrder, Ticket, because, job_words, refuse_refusal, validate

STOPPED, CANCELED, ABORTED, COMPLETED = 6, 7, 8, 9
JOB_STATES = {3: "waiting", 4: "held", 5: "printing", STOPPED: "stopped", 7: "canceled", 8: "aborted", 9: "completed"}
COUNTS = ("job-media-sheets-completed", "job-impressions-completed")
FOLLOWED = ("job-state", "job-state-reasons", "job-state-message", "job-printer-state-message", *COUNTS)

Say: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class PrintedJob:
    """A job that ended well. ``sheets``: as counted by the printer, or else the server; None when neither counts.

    ``confirmed``: whether the printer itself says that it is completed; else only the server in front of it does.
    """

    number: int
    ticket: Ticket
    sheets: int | None
    confirmed: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a job, and by which clock."""

    wait_s: float = 300.0
    poll_s: float = 0.5
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def print_document(printer: Printer, order: PrintOrder, patience: Patience, say: Say) -> PrintedJob:
    """Print, and wait until the job has ended; ``say`` is told what the job is doing.

    Before anything is printed: :class:`PrinterStopped`, :class:`MediaRefused`, :class:`PrintRefused`. Later:
    :class:`JobAborted` when printer or people ended the job, :class:`PrinterStopped` when the printer stopped with the
    job waiting, :class:`JobUnfinished` when it took too long, :class:`NotPrinted` when it "completed" without a sheet.
    """
    begin = patience.clock()
    ticket = validate(printer, order)
    answer = ask(printer.uri, Operation.CREATE_JOB, job_words(order), job=ticket.settings, user=order.user)
    job = _Job(printer, order.user, _number(answer, printer, order))
    with job.taken_back():
        refuse_refusal(answer, printer, order)
        job.read_back(ticket)
        job.send(order.pdf)
        ended = job.follow(begin + patience.wait_s, patience, say)
    behind = _job_behind(printer, order)
    if behind:
        with behind.taken_back():
            ended = behind.follow(begin + patience.wait_s, patience, say)
    sheets = _sheets(behind or job, ended, order)
    confirmed = behind is not None or not printer.queue
    return PrintedJob(job.number, ticket, sheets, confirmed, patience.clock() - begin)


@dataclass(frozen=True, slots=True)
class _Job:
    printer: Printer
    user: str
    number: int

    def __str__(self) -> str:
        return f"job {self.number} on {self.printer.name}"

    def ask(self, operation: Operation, *attributes: Attribute, document: bytes = b"") -> Answer:
        number = attribute("job-id", Tag.INTEGER, self.number)
        return ask(self.printer.uri, operation, [number, *attributes], document=document, user=self.user)

    def attributes(self, *names: str) -> Attributes:
        answer = self.ask(
            Operation.GET_JOB_ATTRIBUTES, attribute("requested-attributes", Tag.KEYWORD, "job-id", *names)
        )
        if answer.status == Status.NOT_FOUND or not answer.jobs:
            message = f"{self} is not known any more: whether it was printed cannot be told"
            raise NotPrinted(message, hint="look at the printer")
        refuse_failure(answer, f"{self} does not say how it is")
        return answer.jobs[0]

    @contextlib.contextmanager
    def taken_back(self) -> Iterator[None]:
        """Within: whatever goes wrong, an interruption too, cancels the job."""
        try:
            yield
        except BaseException:
            # A job that has ended, or a server that has gone: the first error is the one to tell.
            with contextlib.suppress(DpcamError):
                self.ask(Operation.CANCEL_JOB)
            raise

    def read_back(self, ticket: Ticket) -> None:
        """:class:`PrintRefused` unless the job has every setting of the ticket."""
        found = self.attributes(*(setting.name for setting in ticket.settings))
        for setting in ticket.settings:
            said = found.all(setting.name)
            if said != setting.values:
                message = f"{self} was given {setting.name}={_words(setting.values)} and says {_words(said)}"
                raise PrintRefused(f"{message}: it was taken back", hint="take another printer, or a queue of CUPS")

    def send(self, pdf: bytes) -> None:
        form = attribute("document-format", Tag.MIME_TYPE, PDF)
        last = attribute("last-document", Tag.BOOLEAN, True)
        answer = self.ask(Operation.SEND_DOCUMENT, form, last, document=pdf)
        refuse_failure(answer, f"{self} does not take the PDF")

    def follow(self, until: float, patience: Patience, say: Say) -> Attributes:
        """The job's attributes when it has completed."""
        while True:
            found = self.attributes(*FOLLOWED)
            state = found.number("job-state") or 0
            if state == COMPLETED:
                return found
            if state in (CANCELED, ABORTED):
                raise JobAborted(f"{self} was {JOB_STATES[state]}{_reason(found)}", hint="look at the printer")
            self._refuse_standstill()
            doing = f"{JOB_STATES.get(state, 'unknown')}{_reason(found)}"
            say(f"{self}: {doing}")
            if patience.clock() >= until:
                message = f"{self} has not ended in {patience.wait_s:g} s, it is {doing}: it was taken back"
                raise JobUnfinished(message, hint="look at the printer, or wait longer: --wait SECONDS")
            patience.sleep(patience.poll_s)

    def _refuse_standstill(self) -> None:
        """:class:`PrinterStopped` when nothing moves any more."""
        now = find_printer(self.printer.uri, "")
        if now.state == "stopped":
            message = f"printer {self.printer.name} stopped{because(now)}: {self} was taken back"
            raise PrinterStopped(message, hint=START_HINT)


def _job_behind(printer: Printer, order: PrintOrder) -> _Job | None:
    """The job as the printer behind a queue has it; None where that cannot be asked, or does not tell."""
    if not printer.behind:
        return None
    names = attribute("requested-attributes", Tag.KEYWORD, "job-id", "job-name")
    which = [attribute("which-jobs", Tag.KEYWORD, each) for each in ("not-completed", "completed")]
    try:
        answers = [ask(printer.behind, Operation.GET_JOBS, [each, names], user=order.user) for each in which]
    except NotReady:
        return None
    found = [job.number("job-id") for answer in answers for job in answer.jobs if job.text("job-name") == order.title]
    real = Printer(f"the printer behind {printer.name}", printer.behind)
    return _Job(real, order.user, max(filter(None, found))) if any(found) else None


def _number(answer: Answer, printer: Printer, order: PrintOrder) -> int:
    """The number of the job that was made; :class:`PrintRefused` when none was."""
    number = answer.jobs[0].number("job-id") if answer.jobs else None
    if number is None:
        refuse_refusal(answer, printer, order)
        raise PrintRefused(f"printer {printer.name} made a job but gave it no number")
    return number


def _sheets(job: _Job, ended: Attributes, order: PrintOrder) -> int | None:
    """How many sheets were counted; :class:`NotPrinted` when they are fewer than the pages."""
    counts = [count for name in COUNTS if (count := ended.number(name)) is not None]
    if counts and max(counts) < order.pages:
        raise NotPrinted(
            f"{job} says that it is completed, but {max(counts)} of {order.pages} sheets were printed{_reason(ended)}",
            hint="look at the printer and at its log",
        )
    return max(counts, default=None)


def _words(values: tuple[Value, ...]) -> str:
    return ", ".join(map(str, values)) or "nothing"


def _reason(job: Attributes) -> str:
    names = ("job-printer-state-message", "job-state-message", "job-state-reasons")
    words = [text.strip() for name in names for text in job.texts(name) if text.strip() not in ("", "none")]
    return f" ({', '.join(dict.fromkeys(words))})" if words else ""
