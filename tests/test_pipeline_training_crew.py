"""Several tasks at once: outcomes in order, errors kept apart, a stop that reaches all, nobody left behind."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from calibration.errors import BadInput, Incomplete
from capture.stop import StopRequest, never
from pipeline.training.crew import Outcome, Task, run_all

# What the processes do; they import it from here.


def answers(value: int, progress, stop) -> int:
    progress(0.5, "half")
    return value


def fails(progress, stop) -> int:
    raise BadInput("no such thing", hint="try another", where="here")


def dies(progress, stop) -> int:
    os._exit(3)


def waits(folder: Path, progress, stop) -> str:
    """Until it is stopped; says so in a file, too."""
    name = f"{os.getpid()}"
    progress(0.1, "waiting")
    while not stop():
        time.sleep(0.01)
    (folder / name).write_text(stop().reason)
    return stop().reason


def children() -> list[psutil.Process]:
    """The workers that run now; multiprocessing's resource tracker is none of them."""
    return [each for each in psutil.Process().children(recursive=True) if "spawn_main" in command_of(each)]


def command_of(process: psutil.Process) -> str:
    """Its command line; empty when it ended after it was listed."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


TASKS = [
    Task("one", partial(answers, 1)),
    Task("bad", fails),
    Task("dead", dies),
    Task("two", partial(answers, 2)),
]


def test_outcomes_come_in_order_and_an_error_is_its_own():
    said: list[tuple[float, str]] = []
    outcomes = run_all(TASKS, jobs=2, progress=lambda share, text: said.append((share, text)), stop=never)
    assert [each.name for each in outcomes] == ["one", "bad", "dead", "two"]
    assert [each.result for each in outcomes] == [1, None, None, 2]
    assert isinstance(outcomes[1].error, BadInput)
    assert (outcomes[1].error.hint, outcomes[1].error.where) == ("try another", "here")
    assert isinstance(outcomes[2].error, Incomplete)
    assert "the process of dead ended without a word, exit code 3" in outcomes[2].error.message
    assert {text for _, text in said} == {"one: half", "two: half"}
    assert all(0 < share < 1 for share, _ in said)
    assert not children()


def test_one_at_a_time_needs_no_process():
    said: list[float] = []
    here = [Task("one", lambda progress, stop: answers(os.getpid(), progress, stop)), Task("bad", fails)]
    outcomes = run_all(here, jobs=1, progress=lambda share, text: said.append(share), stop=never)
    assert outcomes[0] == Outcome("one", os.getpid())
    assert outcomes[1].error.message == "no such thing"
    assert said == [0.25]


def test_a_stop_reaches_all_and_what_was_not_begun_is_left_out(tmp_path: Path):
    said: set[str] = set()

    def stop() -> StopRequest | None:
        return StopRequest("enough", 143) if len(said) == 2 else None

    tasks = [Task(name, partial(waits, tmp_path)) for name in "abc"]
    outcomes = run_all(tasks, jobs=2, progress=lambda share, text: said.add(text), stop=stop)
    assert [(each.name, each.result) for each in outcomes] == [("a", "enough"), ("b", "enough")]
    assert not children()


def test_an_interruption_leaves_nobody_behind(tmp_path: Path):
    def interrupt(share: float, text: str) -> None:
        raise KeyboardInterrupt

    tasks = [Task(name, partial(waits, tmp_path)) for name in "ab"]
    with pytest.raises(KeyboardInterrupt):
        run_all(tasks, jobs=2, progress=interrupt, stop=never)
    _, alive = psutil.wait_procs(children(), timeout=10)
    assert not alive
    assert not list(tmp_path.iterdir())


ABANDONED = """
import sys
from functools import partial
from pathlib import Path
sys.path.insert(0, "tests")
from test_pipeline_training_crew import waits
from capture.stop import never
from pipeline.training.crew import Task, run_all
if __name__ == "__main__":
    tasks = [Task(name, partial(waits, Path(sys.argv[1]))) for name in "ab"]
    run_all(tasks, jobs=2, progress=lambda share, text: print(text, flush=True), stop=never)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system cannot kill -9")
def test_processes_stop_when_the_program_that_started_them_is_killed(tmp_path: Path, request: pytest.FixtureRequest):
    (tmp_path / "program.py").write_text(ABANDONED)
    (tmp_path / "out").mkdir()
    root = request.config.rootpath
    program = psutil.Popen(
        [os.sys.executable, tmp_path / "program.py", tmp_path / "out"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=-1,
        text=True,
    )
    assert sorted(program.stdout.readline() for _ in "ab") == ["a: waiting\n", "b: waiting\n"]
    started = program.children()
    program.kill()
    program.wait()
    program.stdout.close()
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["the program that asked for it has gone"] * 2
