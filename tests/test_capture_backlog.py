"""A queue with an end, in order, that stops at the first failure and says so."""

from __future__ import annotations

import threading

import pytest

from calibration.errors import DiskFull
from capture.backlog import Backlog


@pytest.fixture
def backlog():
    one = Backlog(2, "test")
    yield one
    one.close()


def fail() -> None:
    raise DiskFull("full")


def test_jobs_are_done_in_their_order_whoever_waits(backlog: Backlog) -> None:
    done: list[int] = []
    for number in range(50):
        if number % 3:
            backlog.put(lambda number=number: done.append(number))
        else:
            assert backlog.do(lambda number=number: (done.append(number), number)[1]) == number
    backlog.settle()
    assert done == list(range(50))


def test_who_is_too_fast_waits_and_nothing_is_dropped(backlog: Backlog) -> None:
    go, entered, done = threading.Event(), [], []

    def hand_in() -> None:
        for number in range(5):
            backlog.put(lambda number=number: (go.wait(), done.append(number)))
            entered.append(number)

    thread = threading.Thread(target=hand_in)
    thread.start()
    thread.join(0.2)
    assert entered == [0, 1], "one is under way, one waits, the third blocks"
    go.set()
    thread.join()
    backlog.settle()
    assert done == list(range(5))


def test_jobs_count_by_their_size_and_one_that_is_too_large_comes_alone() -> None:
    backlog, go, entered = Backlog(10, "test"), threading.Event(), []

    def hand_in() -> None:
        for size in (4, 6, 1, 30, 1):
            backlog.put(go.wait, size)
            entered.append(size)

    thread = threading.Thread(target=hand_in)
    thread.start()
    thread.join(0.2)
    assert entered == [4, 6]
    go.set()
    thread.join()
    assert entered == [4, 6, 1, 30, 1]
    backlog.close()


def test_after_a_failure_nothing_is_done_and_everybody_hears_of_it(backlog: Backlog) -> None:
    go, done = threading.Event(), []
    backlog.put(lambda: (go.wait(), fail()))
    backlog.put(lambda: done.append("behind"))
    heard: list[DiskFull] = []

    def wait() -> None:
        try:
            backlog.do(lambda: done.append("behind"))
        except DiskFull as error:
            heard.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    go.set()
    waiting.join()
    for call in (backlog.settle, lambda: backlog.put(fail), lambda: backlog.do(fail)):
        with pytest.raises(DiskFull, match="full"):
            call()
    assert (done, len(heard)) == ([], 1)
    assert backlog.do(lambda: "an error can still be noted", after_failure=True)
    assert backlog.close() is None, "it was told"


def test_the_error_of_what_is_waited_for_ends_nothing(backlog: Backlog) -> None:
    with pytest.raises(DiskFull):
        backlog.do(fail)
    assert backlog.do(lambda: 1) == 1
    backlog.settle()


def test_closing_does_what_was_handed_in_and_gives_back_a_failure_that_nobody_heard_of() -> None:
    done: list[int] = []
    quiet, failed = Backlog(9, "quiet"), Backlog(9, "failed")
    for number in range(9):
        quiet.put(lambda number=number: done.append(number))
    failed.put(fail)
    assert quiet.close() is None
    assert done == list(range(9))
    assert isinstance(failed.close(), DiskFull)
