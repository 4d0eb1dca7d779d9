"""Asking at a terminal, where one key is an answer, and over a pipe, where a line is."""

from __future__ import annotations

import os
import select
import sys
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from capture.stop import StopRequest, never
from pipeline.cli.asking import Asking


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch):
    """Somebody at this descriptor, who answers every question by ``reply``."""

    @contextmanager
    def sit(descriptor: int, reply: Callable[[], object] = lambda: None) -> Iterator[None]:
        class Screen:
            def write(self, text: str) -> None:
                if text.startswith("how?"):
                    reply()

            def flush(self) -> None:
                return

        with os.fdopen(descriptor) as stdin, monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", stdin)
            patch.setattr(sys, "stderr", Screen())
            yield

    return sit


def test_lines_over_a_pipe(at):
    reader, writer = os.pipe()
    os.write(writer, b"\ns\nlong answer\r\n")
    with at(reader):
        ask = Asking(never)
        assert [ask("how?").strip() for _ in range(3)] == ["", "s", "long answer"]
        os.write(writer, b"half a li")
        os.close(writer)
        with pytest.raises(EOFError):
            ask("how?")


def press_before(keyboard: int, terminal: int, keys: bytes) -> None:
    """Keys that were pressed before any question, and have arrived: a busy machine passes them on with a delay."""
    tty.setcbreak(terminal)
    os.write(keyboard, keys)
    assert select.select([terminal], [], [], 60)[0]


@pytest.mark.parametrize(("key", "answer"), [(b"\n", ""), (b"\r", ""), (b"s", "s"), (b"Q", "Q"), (b"\x1b[A", "\x1b[A")])
def test_single_keys_in_a_terminal(at, key: bytes, answer: str):
    keyboard, terminal = os.openpty()
    press_before(keyboard, terminal, b"sss")
    with at(terminal, lambda: os.write(keyboard, key)):
        assert Asking(never)("how?") == answer
    os.close(keyboard)


def test_the_end_of_the_input_in_a_terminal(at):
    keyboard, terminal = os.openpty()
    with at(terminal, lambda: os.write(keyboard, b"\x04")), pytest.raises(EOFError):
        Asking(never)("how?")
    os.close(keyboard)


def test_a_request_to_stop_is_heard_while_nobody_answers(at):
    polls = iter([None, None])
    reader, writer = os.pipe()
    with at(reader):
        assert Asking(lambda: next(polls, StopRequest("SIGTERM", 143)))("how?") == "q"
    os.close(writer)


def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(EOFError):
        Asking(never)("how?")
