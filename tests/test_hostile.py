"""What people and scripts really hand in: odd models, odd names, odd folders. Each case once broke something."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from calibration.contract import Contract
from calibration.errors import BadConfig, BadModel, BadUsage, NotReady
from calibration.files import in_file_name, read_json
from capture.picture import decode_picture
from patches.artwork import load_artwork
from patches.layout import SheetOrder, lay_out
from patches.patch import PatchGeometry
from pipeline.cli.app import main
from pipeline.cli.models import _size
from pipeline.cli.scoring import model_names
from pipeline.config import load_settings
from pipeline.declaring import add_model
from pipeline.lab import create_lab, read_sheets
from pipeline.recognizers import Recognizer, Runner, open_session
from pipeline.scoring.answering import Answerer
from pipeline.scoring.engine import Limits, score
from pipeline.scoring.score import true_label
from pipeline.scoring.sources import list_folder

LABELS = ["a", "b", "c"]


def tiny_model(path: Path, *, batch: int | None = None, softmax: bool = False, location: str = "") -> Path:
    """A network of one convolution that takes 16x16 pictures and knows three classes."""
    kernel = numpy_helper.from_array(np.random.default_rng(0).normal(size=(3, 3, 3, 3)).astype(np.float32), "w")
    if location:
        kernel.ClearField("raw_data")
        kernel.data_location = TensorProto.EXTERNAL
        kernel.external_data.add(key="location", value=location)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Softmax" if softmax else "Identity", ["f"], ["y"]),
    ]
    picture = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch or "n", 3, 16, 16])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "tiny", [picture], [scores], [kernel])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def tiny_runner(folder: Path) -> Runner:
    return open_session(Recognizer(added(tiny_model(folder / "net.onnx")), folder / "models"))


def added(path: Path, **more: object) -> Contract:
    return add_model(path, path.parent / "models", **{"name": "tiny", "labels": LABELS, **more})


@pytest.mark.parametrize(("softmax", "output"), [(True, "probabilities"), (False, "logits")])
def test_what_a_model_gives_is_seen_from_its_scores(tmp_path, softmax, output):
    assert added(tiny_model(tmp_path / "net.onnx", softmax=softmax)).output == output


def test_what_is_no_probability_is_not_taken_for_one(tmp_path):
    with pytest.raises(BadModel, match="no probabilities"):
        added(tiny_model(tmp_path / "net.onnx"), output="probabilities")


def test_an_open_batch_may_be_written_as_minus_one(tmp_path):
    assert added(tiny_model(tmp_path / "net.onnx", batch=-1)).fixed_batch is None


def test_external_data_at_no_possible_place(tmp_path):
    with pytest.raises(BadModel, match="outside its own folder"):
        added(tiny_model(tmp_path / "net.onnx", location="w\0.bin"))


@pytest.mark.parametrize(
    "values",
    [{"std": (np.inf,) * 3}, {"std": (0.0, 1.0, 1.0)}, {"mean": (1e39, 0, 0)}, {"name": "x" * 300}],
    ids=lambda values: next(iter(values)),
)
def test_numbers_that_make_a_recognizer_blind_are_refused(tmp_path, values):
    with pytest.raises(BadConfig, match=next(iter(values))):
        added(tiny_model(tmp_path / "net.onnx"), **values)


@pytest.mark.parametrize(("text", "size"), [("16", (16, 16)), ("20X16", (20, 16))])
def test_size_is_one_number_or_two(text, size):
    assert _size(text) == size


def test_json_of_absurd_depth_is_no_json(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(BadConfig, match="not JSON"):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("traffic light", "traffic-light"),
        ("../x/y", "x-y"),
        ("Vorfahrt gewähren", "Vorfahrt-gewähren"),
        ("..", "unnamed"),
    ],
)
def test_labels_of_users_become_filemodel_names(word, name):
    assert in_file_name(word) == name
    assert len(in_file_name(word * 100)) <= 60


def picture(path: Path, size: tuple[int, int] = (20, 20), **more: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, **more)
    return path


@pytest.mark.parametrize("folder", ["²", "１", "999", "-1"])
def test_a_folder_that_looks_like_a_number_is_no_index(folder):
    assert true_label(folder, LABELS) is None


def test_a_file_name_that_is_no_text_can_be_written_down(tmp_path):
    plain = picture(tmp_path / "photos" / "1" / "a.png")
    plain.rename(plain.with_name(os.fsdecode(b"n\xfe.png")))
    folder = list_folder(tmp_path / "photos", class_from_folder=True, label=None)
    assert [sample.name for sample in folder.samples()] == ["1/n\\xfe.png"]


def test_large_pictures_are_not_held_all_at_once(tmp_path, monkeypatch):
    batches: list[int] = []
    monkeypatch.setattr(Answerer, "answers", lambda self, part: batches.append(len(part.items)) or [])
    for i in range(7):
        picture(tmp_path / f"{i}.png")
    folder = list_folder(tmp_path, class_from_folder=False, label="a")
    answerer = Answerer(Recognizer(added(tiny_model(tmp_path / "net.onnx")), tmp_path / "models"), "cpu")
    list(score(folder.samples(), [answerer], lambda done: None, limits=Limits(held_bytes=2000)))
    assert batches == [3, 3, 1]


def test_a_picture_with_a_damaged_note_is_a_picture(tmp_path):
    data = picture(tmp_path / "a.jpg").read_bytes()
    note = b"\xff\xe1\x00\x20Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12\0\3\0\0\0\1\0\x63\0\0"
    assert decode_picture(data[:2] + note + data[2:], "a.jpg").shape == (20, 20, 3)


def dpcam(words: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The program, called by a shell."""
    line = f"{shlex.quote(sys.executable)} -m pipeline.cli.app {words}"
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=100, **more)


@pytest.mark.parametrize(
    ("words", "code"),
    [("config show >&-", 0), ("config show --json >/dev/full", 4), ("score 2>&-", 2), ("score --json >&- 2>&-", 2)],
)
def test_an_answer_that_nobody_takes_is_no_bug(words, code, tmp_path):
    done = dpcam(words, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)


def test_an_answer_fits_through_any_pipe(tmp_path):
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    (tmp_path / "ü\udcff").mkdir()
    (tmp_path / "ü\udcff" / "lab.toml").touch()
    done = dpcam("config show --json --lab $'ü\\xff'", cwd=tmp_path, env=environ)
    assert json.loads(done.stdout)["exit_code"] == 0
    done = dpcam("score $'ü\\xff' --json", cwd=tmp_path, env=environ)
    assert json.loads(done.stdout)["errors"][0]["where"] == "ü\udcff"


@pytest.mark.parametrize("models", ["", ","])
def test_no_model_at_all_is_not_every_model(models):
    with pytest.raises(BadUsage, match="--models"):
        model_names([models])


def drawing(folder: Path, size: tuple[int, int]) -> Path:
    path = folder / "own.svg"
    box = f'width="{size[0]}" height="{size[1]}"'
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" {box}><rect {box} fill="orange"/></svg>')
    return path


@pytest.mark.parametrize("size", [(100, 300), (300, 100), (100, 105)])
def test_tall_and_wide_targets_fit_their_sheets(tmp_path, size):
    sign = load_artwork(drawing(tmp_path, size), "bottle")
    geometry = PatchGeometry.around(30, sign.aspect)
    order = SheetOrder("bare", "bottle", sign.outline, sign.aspect, geometry, "A4", 0, 1, None)
    sheet = lay_out(order)
    assert max(sheet.target.box.width_mm, sheet.target.box.height_mm) <= sheet.inner.width_mm
    assert sheet.target.box.width_mm == 30


def test_other_documents_among_the_sheets_are_left_alone(tmp_path):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "list.json").write_text("[]")
    for _ in range(2):
        done = dpcam("sheet make --arm bare --out . --json", cwd=tmp_path)
        assert json.loads(done.stdout)["status"] == "success"
    assert len(read_sheets(tmp_path)) == 1


def test_a_file_in_the_place_of_a_labs_folder(tmp_path):
    (tmp_path / "models").write_text("")
    with pytest.raises(NotReady, match="models"):
        create_lab(tmp_path, seed=1)


@pytest.fixture(scope="module")
def captured_lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with an unfinished session of three frames."""
    folder = tmp_path_factory.mktemp("hostile")
    for words in ("init lab --json", "capture --lab lab --frames 3 --json"):
        assert dpcam(words, cwd=folder).returncode == 0
    session = next((folder / "lab" / "sessions").iterdir())
    # As a recorder leaves it that was killed before its last line.
    lines = (session / "events.jsonl").read_bytes().splitlines(keepends=True)
    (session / "events.jsonl").write_bytes(b"".join(lines[:-1]))
    return folder / "lab"


@pytest.fixture
def lab(captured_lab: Path, tmp_path: Path) -> Path:
    """A copy of it, to break."""
    return Path(shutil.copytree(captured_lab, tmp_path / "lab"))


def test_what_cannot_be_resumed_says_how_to_begin_anew(lab):
    session = next((lab / "sessions").iterdir())
    model = json.loads((session / "inputs" / "camera.json").read_text())
    (lab / "other.json").write_text(json.dumps({**model, "fx": 1.1 * model["fx"]}))
    for more, environ in (("--camera sim:?noise=0", {}), ("", {"DPCAM_CAMERA_CALIBRATION": "other.json"})):
        done = dpcam(f"capture {more} --json", cwd=lab, env={**os.environ, **environ})
        error = json.loads(done.stdout)["errors"][0]
        assert (done.returncode, "--new" in error["hint"]) == (2, True), error


def test_a_damaged_session_is_named_and_hides_no_other(lab):
    session = next((lab / "sessions").iterdir())
    (session / "session.json").write_text("{")
    done = dpcam("capture --json", cwd=lab)
    assert (done.returncode, "--new" in json.loads(done.stdout)["errors"][0]["hint"]) == (3, True)
    assert dpcam("capture --new --frames 1 --json", cwd=lab).returncode == 0
    listed = json.loads(dpcam("session list --json", cwd=lab).stdout)
    assert (listed["exit_code"], len(listed["data"]["sessions"])) == (5, 1)
    assert listed["errors"][0]["where"] == str(session.relative_to(lab))


@pytest.mark.parametrize(("words", "code"), [("--resume nowhere", 3), ("--camera v4l2:", 2)])
def test_captures_that_cannot_begin(words, code, tmp_path):
    done = dpcam(f"capture {words} --no-plan --frames 1 --json", cwd=tmp_path)
    assert (json.loads(done.stdout)["exit_code"], list(tmp_path.iterdir())) == (code, [])


@pytest.mark.parametrize(
    "values", ["distances_mm = [inf]", "yaws_deg = [95]", "pitches_deg = [nan]", "distances_mm = [0]"]
)
def test_conditions_that_nobody_can_arrange_are_refused_in_lab_toml(values, tmp_path):
    (tmp_path / "lab.toml").write_text(f"[plan]\n{values}\n")
    with pytest.raises(BadConfig, match=f"plan.{values.split()[0]}"):
        load_settings(tmp_path, environ={})


def test_a_device_number_is_a_camera(tmp_path):
    assert load_settings(tmp_path, environ={"DPCAM_CAMERA_URI": "0"}).config.camera.uri == "0"
    (tmp_path / "lab.toml").write_text("\ufeff[camera]\nuri = 1\n", encoding="utf-8")
    assert load_settings(tmp_path, environ={"DPCAM_TARGET_LABEL": "50"}).config.camera.uri == "1"


def test_localizations_are_taken_only_whole(lab):
    session = next((lab / "sessions").iterdir())
    assert dpcam(f"localize {session} --json", cwd=lab).returncode == 0
    (path,) = session.glob("derived/localizations-*")
    whole = path.read_bytes()
    for damaged in (b"", whole[:-40]):
        path.write_bytes(damaged)
        error = json.loads(dpcam(f"localize {session} --json", cwd=lab).stdout)["errors"][0]
        assert (error["code"], error["where"], "delete it" in error["hint"]) == ("config", str(path), True)
    path.write_bytes(whole)


def test_scores_that_were_damaged_are_made_again(lab):
    session = next((lab / "sessions").iterdir())
    first = json.loads(dpcam(f"score {session} --json", cwd=lab).stdout)
    path = min(session.glob("derived/scores-*/*.jsonl"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\0" * 40)
    assert json.loads(dpcam(f"score {session} --json", cwd=lab).stdout) == first
    assert path.read_bytes() == whole


def test_ground_truth_has_four_corners(lab):
    session = next((lab / "sessions").iterdir())
    truth = next(session.glob("frames/*/*.truth.json"))
    truth.write_text('{"frame_corners_px": [[1, 2]]}')
    done = dpcam(f"localize {session} --json", cwd=lab)
    assert "frame_corners_px" in json.loads(done.stdout)["errors"][0]["message"]


def test_pictures_with_names_that_are_no_text_are_captured(tmp_path):
    plain = picture(tmp_path / "photos" / "a.png")
    plain.rename(plain.with_name(os.fsdecode(b"n\xfe.png")))
    done = dpcam("capture --camera photos --json", cwd=tmp_path)
    events = Path(tmp_path, json.loads(done.stdout)["data"]["session"], "events.jsonl").read_text()
    assert r'"file":"n\\xfe.png"' in events
    done = dpcam("capture --camera $'film\\xff.avi' --json", cwd=tmp_path)
    assert json.loads(done.stdout)["errors"][0]["code"] == "usage"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_never_says_that_it_is_done(number, capsys, monkeypatch):
    monkeypatch.setattr("pipeline.doctor.examine", lambda lab: os.kill(os.getpid(), number))
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.code, answer["exit_code"], answer["errors"][0]["code"]) == (*[128 + number] * 2, "interrupted")
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_empty_bench_scores_nothing(tmp_path):
    (tmp_path / "lab.toml").write_text("[models]\nzoo = false\n")
    picture(tmp_path / "photos" / "a.png")
    done = dpcam("score --images photos --json", cwd=tmp_path)
    assert (done.returncode, "no recognizer" in done.stderr) == (3, True)
