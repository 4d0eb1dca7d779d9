"""The OpenAPI document is one, and the API keeps to it under hundreds of odd requests."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sessions import frame
from steered import served, steered

from calibration.errors import NotNow

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def test_no_request_ends_in_a_server_error(tmp_path: Path):
    with steered(tmp_path) as capture, served(capture.control, capture.preview) as client:
        capture.preview.show(frame(1))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{client.url}openapi.json"),
            *("--exclude-path-regex", r"events|mjpeg", "--checks", CHECKS, "--phases", "coverage,fuzzing"),
            *("--max-examples", "3", "--seed", "1", "--generation-database", "none", "--no-color"),
            *("--header", "Content-Type: application/json", "--continue-on-failure"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100)
        alive = client.get("state")["capture"]
        with suppress(NotNow):  # some request may have stopped it already
            capture.control.stop()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert re.search(r"(\d{3,}) generated, \1 passed", done.stdout), done.stdout
    assert alive["session"] == capture.writer.header.id
