"""Work that a thread does job after job, behind a queue with an end: who is too fast waits, nothing is dropped."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be done, who waits for it, and how much room it takes."""

    do: Callable[[], Any]
    future: Future[Any] | None
    size: int


class Backlog:
    """Jobs in the order in which they were handed in, from any thread.

    A job that nobody waits for (:meth:`put`) and that fails ends the work: those behind it are not done, and its error
    is raised by :meth:`put`, :meth:`do` and :meth:`settle` from then on. The error of a job that is waited for
    (:meth:`do`) is raised there, and the work goes on.
    """

    def __init__(self, room: int, name: str) -> None:
        """``room``: so much may wait or be under way before :meth:`put` blocks, each job counted by its size."""
        self._room = room
        self._jobs: deque[_Job] = deque()
        self._news = threading.Condition()
        self._failure: BaseException | None = None
        self._told = False
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Callable[[], object], size: int = 1) -> None:
        """Hand a job in and go on; waits while there is no room. One that is larger than all room waits for all."""
        with self._news:
            self._news.wait_for(lambda: self._failure or not self._jobs or self._taken + size <= self._room)
            self._raise_failure()
            self._add(job, None, size)

    def do(self, job: Callable[[], Answer], *, after_failure: bool = False) -> Answer:
        """Have a job done after all others, and wait for it. ``after_failure``: even if the work has failed."""
        return self.begin(job, after_failure=after_failure).result()

    def begin(self, job: Callable[[], Answer], *, after_failure: bool = False) -> Future[Answer]:
        """As :meth:`do`, to be waited for later."""
        future: Future[Answer] = Future()
        with self._news:
            if not after_failure:
                self._raise_failure()
            self._add(job, future, 0)
        return future

    def settle(self) -> None:
        """Wait until everything is done; raises what a job failed with."""
        with self._news:
            self._news.wait_for(lambda: not self._jobs)
            self._raise_failure()

    def close(self) -> BaseException | None:
        """Do what was handed in, then end the thread; the failure that nobody was told of yet. Safe to call twice."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        self._thread.join()
        return None if self._told else self._failure

    @property
    def _taken(self) -> int:
        return sum(job.size for job in self._jobs)

    def _add(self, job: Callable[[], Any], future: Future[Any] | None, size: int) -> None:
        if self._closed:
            raise ValueError("the backlog is closed")
        self._jobs.append(_Job(job, future, size))
        self._news.notify_all()

    def _raise_failure(self) -> None:
        if self._failure:
            self._told = True
            raise self._failure

    # In the thread

    def _work(self) -> None:
        while job := self._next():
            self._run(job.do, job.future)

    def _next(self) -> _Job | None:
        with self._news:
            self._news.wait_for(lambda: self._jobs or self._closed)
            return self._jobs[0] if self._jobs else None

    def _run(self, job: Callable[[], Any], future: Future[Any] | None) -> None:
        try:
            answer = job()
        except BaseException as error:
            self._end(future, error)
        else:
            self._done()
            if future:
                future.set_result(answer)

    def _end(self, future: Future[Any] | None, error: BaseException) -> None:
        if future:
            self._done()
            future.set_exception(error)
            return
        with self._news:
            self._failure = error
            given_up = [each.future for each in self._jobs if each.future]
            self._told = bool(given_up)
            self._jobs.clear()
            self._news.notify_all()
        for waiting in given_up:
            waiting.set_exception(error)

    def _done(self) -> None:
        with self._news:
            self._jobs.popleft()
            self._news.notify_all()
