"""The OpenAPI document is one, and the API keeps to it under thousands of odd requests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sessions import frame
from steered import served, steered

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "negative_data_rejection,unsupported_method"
)


def test_no_request_ends_in_a_server_error(tmp_path: Path):
    with steered(tmp_path) as capture, served(capture.control, capture.preview) as client:
        capture.preview.show(frame(1))
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{client.url}openapi.json"),
            *("--exclude-path-regex", r"events|mjpeg", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing"),
            *("--max-examples", "10", "--seed", "1", "--generation-database", "none", "--no-color"),
            *("--header", "Content-Type: application/json", "--continue-on-failure"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=100)
        alive = client.get("state")["capture"]
        capture.control.stop()
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr
    assert "Schema Loading" in done.stdout or "Loaded specification" in done.stdout, done.stdout
    assert alive["session"] == capture.writer.header.id
