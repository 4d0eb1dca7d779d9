"""The bench of patches run again, and after a kill: what is kept, and what is made anew."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bench import TINY, all_arms, border_and_middle, plain_colors, plan_of

from pipeline.patch_bench import workshop
from pipeline.patch_bench.arms import arm_count
from pipeline.patch_bench.files import as_csv, as_data
from pipeline.patch_bench.run import outlook, run_bench
from pipeline.patch_bench.tables import make_tables


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return border_and_middle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return plain_colors(tmp_path_factory.mktemp("colors"))


@pytest.fixture(scope="module")
def everything(folder, models, tmp_path_factory):
    return all_arms(folder, models, tmp_path_factory.mktemp("work"))


def test_a_second_run_works_on_nothing(everything, monkeypatch):
    plan, tables = everything
    assert outlook(plan).patches_kept == outlook(plan).patches == 12
    assert outlook(plan).arms == arm_count(plan)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was done again")

    monkeypatch.setattr(workshop.Bench, "_train", refuse)
    monkeypatch.setattr(workshop, "judge_arm", refuse)
    assert as_data(plan, make_tables(run_bench(plan))) == as_data(plan, tables)


@pytest.mark.parametrize(
    ("change", "again"),
    [({"seed": 1}, 3), ({"effort": replace(TINY, steps=4)}, 3), ({"effort": replace(TINY, pictures=1)}, 0)],
    ids=["seed", "steps", "test pictures"],
)
def test_only_what_is_another_thing_is_trained_again(folder, models, tmp_path, change, again):
    run_bench(plan_of(folder, models, tmp_path, controls=()))
    found = outlook(plan_of(folder, models, tmp_path, controls=(), **change))
    assert found.patches - found.patches_kept == again


def test_a_piece_that_is_damaged_is_made_again(folder, models, tmp_path):
    plan = plan_of(folder, models, tmp_path, controls=())
    before = as_csv(make_tables(run_bench(plan)).rows)
    for path in [*tmp_path.glob("*/*.json")][::2]:
        path.write_text(path.read_text()[:50])
    assert as_csv(make_tables(run_bench(plan)).rows) == before


def test_the_same_seed_gives_the_same_bytes(folder, models, tmp_path):
    first, second = (
        as_csv(make_tables(run_bench(plan_of(folder, models, tmp_path / name))).rows) for name in ("a", "b")
    )
    assert first == second


PROGRAM = """
import sys
from pipeline.cli.app import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on(folder, models, tmp_path):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    words = [
        *("bench", "patches", "--dataset", folder, "--models", models, "--quick", "--classes", 3, "--json"),
        *("--methods", "ensemble", "--controls", "none", "--work", tmp_path / "work", "--out", tmp_path / "out"),
    ]
    command = [sys.executable, str(script), *map(str, words)]
    running = subprocess.Popen([*command, "--jobs", "2"], stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        until = time.monotonic() + 240
        while not [*(tmp_path / "work").glob("patches/*.json")] and time.monotonic() < until:
            assert running.poll() in (None, 0)
            time.sleep(0.05)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").glob("patches/*.json")}
    assert kept
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["data"]["gains"]
    assert Path(answer["data"]["files"]["figure"]).is_file()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
