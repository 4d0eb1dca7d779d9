"""`python tests/faults [--quick]`: every fault; closes with how many were survived."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


class Count:
    """Counts what pytest reports; a fault that could not be tried is neither passed nor failed."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed += report.failed
        self.passed += report.passed and report.when == "call"


def main() -> int:
    if "--quick" not in sys.argv[1:]:
        os.environ["DPCAM_FAULTS"] = "all"
    count = Count()
    # Faults wait more than they work: one more at a time than a small machine has cores.
    ended = pytest.main([str(HERE), "-v", "--numprocesses=3", "--timeout=900"], plugins=[count])
    print(f"{count.passed} passed, {count.failed} failed")
    return int(ended)


if __name__ == "__main__":
    sys.exit(main())
