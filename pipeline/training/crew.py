"""Several tasks at once, each in a process of its own, and all of them ended by one signal.

A pipe to each process carries how far it is and what came out, and the other way that it is to stop. A process whose
pipe breaks has nobody to work for and stops, too.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from calibration.errors import DpcamError, Incomplete
from capture.stop import StopFlag, StopRequest

T = TypeVar("T")
LOOK_S = 0.1
"""How long a stop that is asked for may go unseen."""


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """Something to do: ``run`` is called with ``progress`` and ``stop``, and must be picklable."""

    name: str
    run: Callable[..., T]


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What became of the task of that name: a ``result`` or an ``error``."""

    name: str
    result: T | None = None
    error: DpcamError | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """How far a task is: a share from 0 to 1, and words."""

    share: float
    text: str


@dataclass(slots=True)
class Member:
    """A process at work on a task."""

    task: Task[Any]
    process: BaseProcess
    share: float = 0.0
    told: bool = False


def run_all(
    tasks: Sequence[Task[T]], *, jobs: int, progress: Callable[[float, str], None], stop: StopFlag
) -> list[Outcome[T]]:
    """Do all tasks, ``jobs`` at a time, each in its own process if there are several; outcomes in the tasks' order.

    Once ``stop`` says so no task is begun any more, and those under way are asked to end. An interruption kills them.
    """
    if jobs < 2 or len(tasks) < 2:
        return _one_by_one(tasks, progress, stop)
    outcomes: dict[str, Outcome[T]] = {}
    waiting, crew = deque(tasks), dict[Connection, Member]()
    try:
        while crew or (waiting and not stop()):
            while waiting and len(crew) < jobs and not stop():
                _hire(waiting.popleft(), crew)
            _tell(crew, stop())
            for pipe in wait(list(crew), LOOK_S):
                message = _next_message(pipe, crew)  # type: ignore[arg-type]
                if isinstance(message, Outcome):
                    outcomes[message.name] = message
                else:
                    done = len(outcomes) + sum(member.share for member in crew.values())
                    progress(done / len(tasks), message)
    finally:
        for member in crew.values():
            member.process.kill()
    return [outcomes[task.name] for task in tasks if task.name in outcomes]


def _one_by_one(tasks: Sequence[Task[T]], progress: Callable[[float, str], None], stop: StopFlag) -> list[Outcome[T]]:
    outcomes: list[Outcome[T]] = []
    for number, task in enumerate(tasks):
        if stop():
            break
        outcomes.append(_attempt(task, _part(progress, number, len(tasks)), stop))
    return outcomes


def _part(progress: Callable[[float, str], None], number: int, count: int) -> Callable[[float, str], None]:
    """The progress of one task as that of all."""
    return lambda share, text: progress((number + share) / count, text)


def _attempt(task: Task[T], progress: Callable[[float, str], None], stop: StopFlag) -> Outcome[T]:
    try:
        return Outcome(task.name, task.run(progress=progress, stop=stop))
    except DpcamError as error:
        return Outcome(task.name, error=error)


def _hire(task: Task[Any], crew: dict[Connection, Member]) -> None:
    """Start a process on the task."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(task, theirs), name=task.name, daemon=True)
    with _deaf():
        process.start()
    theirs.close()
    crew[ours] = Member(task, process)


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started within does not hear Ctrl-C, not even while Python starts."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(crew: dict[Connection, Member], request: StopRequest | None) -> None:
    """Pass the request to stop on, once."""
    for pipe, member in crew.items():
        if request and not member.told:
            member.told = True
            # One that has just ended needs not be told.
            with suppress(OSError):
                pipe.send(request)


def _next_message(pipe: Connection, crew: dict[Connection, Member]) -> Outcome[Any] | str:
    """What a process says: its outcome, after which it has left the crew, or where it is."""
    member = crew[pipe]
    try:
        message = pipe.recv()
    except (EOFError, OSError):
        member.process.join()
        message = Outcome(member.task.name, error=_lost(member))
    if isinstance(message, Step):
        member.share = message.share
        return f"{member.task.name}: {message.text}"
    del crew[pipe]
    pipe.close()
    member.process.join()
    found: Outcome[Any] = message
    return found


def _lost(member: Member) -> DpcamError:
    return Incomplete(
        f"the process of {member.task.name} ended without a word, exit code {member.process.exitcode}",
        hint="out of memory? run again to go on from its last checkpoint",
    )


# In the process


def _work(task: Task[Any], pipe: Connection) -> None:
    """Do a task; signals are for the process that started this one, which passes them on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    requests: list[StopRequest] = []

    def progress(share: float, text: str) -> None:
        with suppress(OSError):
            pipe.send(Step(share, text))

    def stop() -> StopRequest | None:
        if not requests and pipe.poll():
            requests.append(_request(pipe))
        return requests[0] if requests else None

    outcome = _attempt(task, progress, stop)
    with suppress(OSError):
        pipe.send(outcome)


def _request(pipe: Connection) -> StopRequest:
    try:
        found: StopRequest = pipe.recv()
    except (EOFError, OSError):
        return StopRequest("the program that asked for it has gone")
    return found
