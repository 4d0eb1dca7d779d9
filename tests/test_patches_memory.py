"""Memory that is freed and taken again needs no kernel, once a process has been asked to keep it."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

PAGES = """
import resource
import torch
from patches.memory import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if {kept}:
    keep_freed_memory()
for number in range(2 * {rounds}):
    if number == {rounds}:
        before = faults()
    torch.ones({block} // 4)
print(faults() - before)
"""
BLOCK = 64 << 20
ROUNDS = 20


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc: other C libraries are not asked")
@pytest.mark.parametrize("kept", [True, False])
def test_a_freed_block_is_taken_again_without_its_pages_being_made_anew(kept: bool) -> None:
    run = [sys.executable, "-c", PAGES.format(kept=kept, block=BLOCK, rounds=ROUNDS)]
    pages = int(subprocess.run(run, check=True, capture_output=True, text=True, timeout=120).stdout)
    # Pages may be huge ones: at least one is made for each block that comes from the kernel.
    assert (pages < ROUNDS) == kept
