"""Chromium, headless, as a viewer of PDFs: driven over its own pipe, so that a picture is taken when it has drawn."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]


class Browser:
    """The DevTools protocol over a pipe: JSON, a zero byte after each message."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._numbers, self._rest = count(1), b""

    def call(self, method: str, session: str | None = None, **parameters: object) -> dict:
        """One command → its result; events are passed over."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                read = os.read(self._answers, 1 << 20)
                assert read, "chromium has ended"
                self._rest += read
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def pictures(self, url: str, patience_s: float = 60) -> Iterator[np.ndarray]:
        """What a new tab shows, ``(H, W, 3)`` uint8 RGB, again and again until the patience is at its end."""
        target = self.call("Target.createTarget", url=url)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            time.sleep(0.5)
            shot = self.call("Page.captureScreenshot", session, format="png")
            yield np.array(Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB"))


@contextmanager
def chromium(folder: Path, width: int, height: int) -> Iterator[Browser]:
    """A browser with its profile in ``folder`` and a window of that size."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()
    # The browser reads commands from descriptor 3 and writes answers to 4.
    flags = [*FLAGS, f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank"]
    shell = f'exec chromium "$@" 3<&{command_read} 4>&{answer_write}'
    process = subprocess.Popen(
        ["bash", "-c", shell, "bash", *flags], pass_fds=(command_read, answer_write), stderr=subprocess.DEVNULL
    )
    os.close(command_read)
    os.close(answer_write)
    browser = Browser(command_write, answer_read)
    try:
        yield browser
        browser.call("Browser.close")
    finally:
        os.close(command_write)
        os.close(answer_read)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
