"""The command line as an interface for machines: help, JSON envelope, exit codes, weight of the start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from program import ENVELOPE, answer, dpcam

from pipeline.cli.app import app

TOP_LEVEL = [
    "init",
    "models",
    "train",
    "sheet",
    "print",
    "calibrate",
    "camera",
    "eot",
    "plan",
    "capture",
    "localize",
    "score",
    "twin",
    "report",
    "compare",
    "run",
    "demo",
    "doctor",
    "config",
    "session",
    "export",
    "evidence",
    "noise",
    "bench",
]


def all_commands() -> list[list[str]]:
    """Every command of the tree, as words."""

    def below(node: object, path: list[str]) -> list[list[str]]:
        children = getattr(node, "commands", {})
        found = [path] if path else []
        return found + [words for name, child in children.items() for words in below(child, [*path, name])]

    return below(typer.main.get_command(app), [])


def test_the_top_level_has_the_commands_that_scripts_know():
    assert sorted(typer.main.get_command(app).commands) == sorted(TOP_LEVEL)


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_every_command_answers_help_and_json(words: list[str], capsys: pytest.CaptureFixture[str]):
    from pipeline.cli.app import main

    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    assert "Usage: dpcam " + " ".join(words) in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main([*words, "--json", "--no-such-option"])
    printed = capsys.readouterr()
    envelope = json.loads(printed.out)
    assert set(envelope) == ENVELOPE
    assert (ended.value.code, envelope["exit_code"], envelope["command"]) == (2, 2, words)
    assert envelope["errors"][0]["code"] == "usage"
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("words", [["--json"], ["nope", "--json"], ["models", "chek", "--json"], ["--json", "models"]])
def test_usage_errors_are_json_too(words: list[str], tmp_path: Path):
    envelope = answer(dpcam(*words, cwd=tmp_path))
    assert (envelope["exit_code"], envelope["status"]) == (2, "error")


def test_the_version(tmp_path: Path):
    said = dpcam("--version", cwd=tmp_path).stdout
    assert said == f"dpcam {answer(dpcam('--version', '--json', cwd=tmp_path))['data']['version']}\n"


def test_help_is_light(tmp_path: Path):
    code = (
        "import resource, sys\n"
        "from pipeline.cli.app import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert "HEAVY []" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [
        (["score", "--json"], 2, "--images"),
        (["score", "no-such-session", "--json"], 3, "no-such-session"),
        (["score", "--images", "nowhere", "--json"], 3, "nowhere"),
        (["score", "--images", ".", "--json"], 3, "no picture"),
        (["report", "no-such-session", "--json"], 3, "no-such-session"),
        (["localize", "no-such-session", "--json"], 3, "no-such-session"),
        (["session", "check", ".", "--json"], 3, "session.json"),
        (["plan", "--json"], 3, "lab.toml"),
        (["sheet", "make", "--arm", "blank", "--lab", "mistyped", "--json"], 3, "mistyped"),
        (["config", "show", "--lab", "mistyped", "--json"], 3, "mistyped"),
        (["capture", "--camera", "carrier-pigeon:", "--json"], 2, "carrier-pigeon"),
        (["capture", "--camera", "no-such-film.mp4", "--json"], 3, "no-such-film.mp4"),
        (["capture", "--camera", "/dev/video99", "--frames", "1", "--json"], 4, "video99"),
        (["capture", "--camera", "http://127.0.0.1:9/", "--frames", "1", "--json"], 4, "127.0.0.1"),
        (["models", "add", "nothing.onnx", "--json"], 2, "--labels"),
        (["models", "add", "nothing.onnx", "--labels", "nothing.txt", "--json"], 3, "nothing.txt"),
        (["models", "check", "--provider", "cuda", "--json"], 4, "cuda"),
        (["run", "--json"], 3, "lab.toml"),
        (["print", "stop", "--json"], 3, "lab.toml"),
        (["config", "show", "--json", "--lab", "broken"], 3, "nearest"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_has_its_exit_code_and_one_clear_line(words: list[str], code: int, named: str, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "lab.toml").write_text('[camera]\nurl = "x"\n')
    done = dpcam(*words, cwd=tmp_path)
    envelope = answer(done)
    assert envelope["exit_code"] == code, done.stderr
    assert named in envelope["errors"][0]["message"] + envelope["errors"][0]["where"]
    assert "Traceback" not in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("dpcam: ")]) == 1


def test_without_json_the_answer_is_on_stdout_and_the_error_on_stderr(tmp_path: Path):
    done = dpcam("score", "no-such-session", cwd=tmp_path)
    assert done.stdout == ""
    assert done.stderr.startswith("dpcam: no-such-session")


def test_config_show_says_where_each_value_comes_from(tmp_path: Path):
    (tmp_path / "lab.toml").write_text("[plan]\nrepeats = 4\n")
    envelope = answer(dpcam("config", "show", "--json", cwd=tmp_path, DPCAM_CAMERA_URI="sim:?seed=3"))
    found = {each["key"]: (each["value"], each["source"]) for each in envelope["data"]["settings"]}
    assert found["plan.repeats"] == (4, "lab.toml")
    assert found["camera.uri"] == ("sim:?seed=3", "env")
    assert found["sheet.paper"] == ("A4", "default")
