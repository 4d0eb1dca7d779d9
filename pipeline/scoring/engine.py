"""The engine of scoring: samples in chunks over worker threads, every picture decoded once, memory bounded.

What one thread does is the same whatever the others do: a chunk is always the same samples, its pictures are asked in
the same batches, and chunks are handed on in their order. So neither the number of threads nor where a run was cut off
and gone on with changes a bit of the answers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

from pipeline.scoring.answering import Answerer, Part, in_order
from pipeline.scoring.score import Line, Sample, Shown
from pipeline.scoring.spool import Spool

CHUNK = 16
"""Samples that are decoded and answered together."""

HELD_BYTES = 2**27
"""Crops that a worker holds at most, but for those of one sample."""

SPOOL_BYTES = 2**32
"""Crops in the temporary file, where not all recognizers are held at once."""

GROUP_BYTES = 2**31
"""Size of the files of all models that are held at once, but for a single one that is larger."""

NATURAL = (("natural", 0),)
TaskT = TypeVar("TaskT")
DoneT = TypeVar("DoneT")
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """``workers``: threads side by side. Bytes of crops held by a worker, of crops in a file, of models held."""

    workers: int = 1
    held_bytes: int = HELD_BYTES
    spool_bytes: int = SPOOL_BYTES
    group_bytes: int = GROUP_BYTES


class Page(Protocol):
    """What takes the answers of one recognizer, chunk by chunk."""

    answerer: Answerer

    def knows(self, chunk: Sequence[Sample]) -> bool:
        """Whether it has all answers of the next chunk; after one that it does not know, it knows none."""
        ...

    def add(self, lines: Sequence[Line]) -> None:
        """Take the answers of the next chunk."""
        ...


@dataclass(frozen=True, slots=True)
class _Task:
    """A chunk, and the pages that do not know it."""

    number: int
    samples: tuple[Sample, ...]
    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class _Done:
    """A task with the answers for each of its pages."""

    task: _Task
    lines: tuple[list[Line], ...]


Keep = Callable[[Sample, list[Shown]], None]
"""Is told each sample with what it shows, before it is let go."""


def _forget(sample: Sample, seen: list[Shown]) -> None:
    return


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fill(
    samples: Iterable[Sample],
    pages: Sequence[Page],
    progress: Progress,
    *,
    shown: Sequence[tuple[str, int]] = NATURAL,
    limits: Limits,
) -> int:
    """Give every page the answers to all samples that it does not know yet → the number of samples.

    ``shown`` are view and repeat of all that is asked for. ``progress`` is told the number of samples that were worked
    on. Recognizers are loaded when there is something to ask them; those that do not fit together take turns.
    """
    tasks = _Tasks(samples, pages)
    groups = _groups(pages, limits.group_bytes)
    told = _Told(progress)
    if len(groups) <= 1:
        for done in _each(tasks, lambda task: _work(task, shown, limits), limits.workers):
            _add(done)
            told(len(done.task.samples))
        _close(pages)
    else:
        with Spool() as spool:
            while not tasks.ended:
                _stretch(tasks, groups, spool, shown, limits, told)
    return tasks.samples


def score(
    samples: Iterable[Sample],
    answerers: Sequence[Answerer],
    progress: Progress,
    *,
    shown: Sequence[tuple[str, int]] = NATURAL,
    limits: Limits | None = None,
) -> Iterator[Line]:
    """Score all samples with all recognizers, kept nowhere: chunk by chunk, the lines of one recognizer together."""
    limits = limits or Limits()
    pages = [_Nowhere(each) for each in answerers]
    told = _Told(progress)
    for done in _each(_Tasks(samples, pages), lambda task: _work(task, shown, limits), limits.workers):
        told(len(done.task.samples))
        for lines in done.lines:
            yield from lines


class _Nowhere:
    """A page of which nothing is kept."""

    def __init__(self, answerer: Answerer) -> None:
        self.answerer = answerer

    def knows(self, chunk: Sequence[Sample]) -> bool:
        return False

    def add(self, lines: Sequence[Line]) -> None:
        return


class _Told:
    """Counts the samples that were worked on, and tells."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done = progress, 0

    def __call__(self, count: int) -> None:
        self._done += count
        self._progress(self._done)


class _Tasks:
    """The chunks that some page does not know, in their order; counts the samples."""

    def __init__(self, samples: Iterable[Sample], pages: Sequence[Page]) -> None:
        self.samples = 0
        self._pages = pages
        self._found = self._find(iter(samples))
        self._next = next(self._found, None)

    @property
    def ended(self) -> bool:
        return self._next is None

    def __iter__(self) -> Iterator[_Task]:
        while self._next is not None:
            task, self._next = self._next, next(self._found, None)
            yield task

    def _find(self, samples: Iterator[Sample]) -> Iterator[_Task]:
        number = 0
        while chunk := tuple(islice(samples, CHUNK)):
            self.samples += len(chunk)
            if pages := tuple(page for page in self._pages if not page.knows(chunk)):
                yield _Task(number, chunk, pages)
            number += 1


def _groups(pages: Sequence[Page], limit: int) -> list[list[Page]]:
    """The pages in their order, such that the models of each group fit."""
    groups: list[list[Page]] = []
    room = 0
    for page in pages:
        size = page.answerer.size
        if not groups or size > room:
            groups.append([])
            room = limit
        groups[-1].append(page)
        room -= size
    return groups


def _stretch(
    tasks: _Tasks,
    groups: Sequence[Sequence[Page]],
    spool: Spool,
    shown: Sequence[tuple[str, int]],
    limits: Limits,
    told: _Told,
) -> None:
    """As many chunks as the spool holds, through one group after the other."""
    spool.empty()
    stretch: list[_Task] = []

    def begin(task: _Task) -> tuple[_Task, _Done]:
        kept: list[Sample] = []
        mine = _only(task, groups[0])
        done = _work(mine, shown, limits, lambda sample, seen: kept.append(replace(sample, show=spool.keep(seen))))
        return replace(task, samples=tuple(kept)), done

    for task, done in _each(_until_full(tasks, spool, limits.spool_bytes), begin, limits.workers):
        stretch.append(task)
        _add(done)
        told(len(task.samples))
    _close(groups[0])
    for group in groups[1:]:
        later = (task for each in stretch if (task := _only(each, group)).pages)
        for done in _each(later, lambda task: _work(task, shown, limits), limits.workers):
            _add(done)
        _close(group)


def _until_full(tasks: _Tasks, spool: Spool, limit: int) -> Iterator[_Task]:
    for task in tasks:
        yield task
        if spool.size > limit:
            return


def _only(task: _Task, group: Sequence[Page]) -> _Task:
    return replace(task, pages=tuple(page for page in task.pages if page in group))


def _close(group: Sequence[Page]) -> None:
    for page in group:
        page.answerer.close()


def _add(done: _Done) -> None:
    for page, lines in zip(done.task.pages, done.lines, strict=True):
        page.add(lines)


def _each(tasks: Iterable[TaskT], work: Callable[[TaskT], DoneT], workers: int) -> Iterator[DoneT]:
    """What ``work`` makes of the tasks, in their order; a few tasks are taken ahead, so that no thread waits."""
    waiting: deque[Future[DoneT]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _work(task: _Task, shown: Sequence[tuple[str, int]], limits: Limits, keep: Keep = _forget) -> _Done:
    """All answers to a chunk. Each begins with another recognizer, so that threads do not load the same at once."""
    found: list[list[Line]] = [[] for _ in task.pages]
    turns = [(task.number + i) % len(found) for i in range(len(found))]
    for part in _parts(task, shown, limits.held_bytes, keep):
        for i in turns:
            found[i] += task.pages[i].answerer.answers(part)
    return _Done(task, tuple(found))


def _parts(task: _Task, shown: Sequence[tuple[str, int]], held_bytes: int, keep: Keep) -> Iterator[Part]:
    """The samples as they are shown; as soon as a part holds more than ``held_bytes``, the next one begins."""
    answerers = [page.answerer for page in task.pages]
    contracts = [each.recognizer.contract for each in answerers]
    noised = any(each.noises for each in answerers)
    part = Part(contracts, keep=noised)
    for sample in task.samples:
        seen = in_order(sample.show(), shown)
        keep(sample, seen)
        part.add(sample, seen)
        if part.held_bytes > held_bytes:
            yield part
            part = Part(contracts, keep=noised)
    if part.items:
        yield part
