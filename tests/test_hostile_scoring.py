"""Once and only once: so many answers of each recognizer as there are files, whatever the files and the recognizers.

Files are real ones, written by Pillow and OpenCV; recognizers are real ONNX models, broken each in its own way. The
program is called as a script calls it, its answer is read as a script reads it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from colors import BLACK, COLORS, color_recognizer, plain
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from program import answer, dpcam

from calibration.files import sha256_file

RED = plain(COLORS["red"], 12, 16)
SCORED, FAILED, MISSING = "scored", "failed", "not-applicable"


# Files


def pillow(pixels: np.ndarray | Image.Image, **more: object) -> Callable[[Path], None]:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    return lambda path: image.save(path, more.pop("kind", None), **more)


def opencv(pixels: np.ndarray) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def cut(part: float, **more: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(path, **more)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])

    return write


def content(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data) and None


def turned() -> Callable[[Path], None]:
    exif = Image.Exif()
    exif[0x0112] = 6
    return pillow(RED, exif=exif)


def several(**more: object) -> Callable[[Path], None]:
    """Red first, then blue."""
    return pillow(RED, save_all=True, append_images=[Image.fromarray(plain(COLORS["blue"], 12, 16))], **more)


def deep(pixels: np.ndarray) -> np.ndarray:
    """BGR of 16 bits."""
    return pixels[..., ::-1].astype(np.uint16) * 257


def forbidden(path: Path) -> None:
    pillow(RED)(path)
    path.chmod(0)


@dataclass(frozen=True)
class File:
    """A file by name: how it is made, what becomes of it, and what the reason says if that is no score."""

    name: str | bytes
    make: Callable[[Path], None]
    status: str = SCORED
    reason: str = ""


FILES = [
    File("plain.png", pillow(RED)),
    File("plain again.png", pillow(RED)),
    File("UPPER.PNG", pillow(RED)),
    File(".hidden.png", pillow(RED)),
    File("Ünicode ✓.png", pillow(RED)),
    File("new\nline.png", pillow(RED)),
    File("tab\tand 'quotes\".png", pillow(RED)),
    File(b"no-utf8-\xff\xfe.png", pillow(RED)),
    File(b"no-utf8-\\xff\\xfe.png", pillow(RED)),
    File("x" * 240 + ".png", pillow(RED)),
    File("other-kind.png", pillow(RED, kind="JPEG", quality=95)),
    File("photo.jpg", pillow(RED, quality=95)),
    File("photo.JPEG", pillow(RED, quality=95)),
    File("cmyk.jpg", pillow(Image.fromarray(RED).convert("CMYK"), quality=95)),
    File("turned.jpg", turned()),
    File("turned.png", turned()),
    File("deep.png", opencv(deep(RED))),
    File("deep.tiff", opencv(deep(RED))),
    File("deep-gray.png", pillow(np.full((9, 9), 40_000, np.uint16))),
    File("gray.png", pillow(np.full((9, 9), 90, np.uint8))),
    File("one-bit.png", pillow(Image.new("1", (9, 9), 1))),
    File("palette.png", pillow(Image.fromarray(RED).quantize(4))),
    File("alpha.png", pillow(np.dstack([RED, np.zeros((12, 16), np.uint8)]))),
    File("gif.png", several(kind="GIF")),
    File("moving.webp", several(lossless=True)),
    File("moving.png", several()),
    File("pages.tiff", several()),
    File("pixel.png", pillow(RED[:1, :1])),
    File("row.png", pillow(RED[:1])),
    File("huge.png", pillow(Image.new("RGB", (12_500, 8_000), COLORS["red"]), compress_level=1)),
    File("beyond.png", pillow(Image.new("1", (16_001, 10_000))), FAILED, "more than 160000000"),
    File("float.tiff", pillow(np.full((9, 9), 0.5, np.float32)), FAILED, "nobody knows what is white"),
    File("empty.png", content(b""), FAILED, "no picture of a known kind"),
    File("text.png", content(b"hello\n" * 99), FAILED, "no picture of a known kind"),
    File("half.jpg", cut(0.5, quality=90), FAILED, "cannot be decoded"),
    File("half.png", cut(0.5), FAILED, "cannot be decoded"),
    File("nowhere.png", lambda path: path.symlink_to("gone"), FAILED, "No such file"),
    File(b"nowhere-\xff.png", lambda path: path.symlink_to("gone"), FAILED, "No such file"),
    File("loop.png", lambda path: path.symlink_to("loop.png"), FAILED, "symbolic links"),
    File("endless.png", lambda path: path.symlink_to("/dev/zero"), FAILED, "no file but a pipe"),
    File("pipe.png", os.mkfifo, FAILED, "no file but a pipe"),
    *([File("forbidden.png", forbidden, FAILED, "Permission denied")] if os.geteuid() else []),
]
LEFT_OUT = ["notes.txt", "still.gif", "linked", "deeper/png"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "red"
    (folder / "deeper").mkdir(parents=True)
    (folder / "folder.png").mkdir()
    for file in FILES:
        file.make(folder / os.fsdecode(file.name))
    pillow(RED)(folder / "still.gif")
    for name in ("notes.txt", "deeper/png"):
        (folder / name).touch()
    (folder / "linked").symlink_to(folder.parent.parent)
    return folder.parent


# Recognizers


def onnx_model(nodes: list, more: Iterable = ()) -> bytes:
    """From ``picture`` ``(n, 3, 4, 4)`` to ``scores``; ``mean`` ``(n, 3)`` is there already."""
    mean = helper.make_node("ReduceMean", ["picture"], ["mean"], axes=[2, 3], keepdims=0)
    ends = [
        helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 4, 4]),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
    ]
    graph = helper.make_graph([mean, *nodes], "broken", ends[:1], ends[1:], list(more))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def constant(name: str, values: object, kind: type = np.float32) -> object:
    return numpy_helper.from_array(np.array(values, kind), name)


def never_a_number() -> bytes:
    nodes = [
        helper.make_node("Sub", ["mean", "mean"], ["none"]),
        helper.make_node("Div", ["none", "none"], ["scores"]),
    ]
    return onnx_model(nodes)


def too_many() -> bytes:
    return onnx_model([helper.make_node("Concat", ["mean", "mean"], ["scores"], axis=1)])


def no_line_each() -> bytes:
    nodes = [helper.make_node("Unsqueeze", ["mean", "last"], ["scores"])]
    return onnx_model(nodes, [constant("last", [2], np.int64)])


def throws() -> bytes:
    return onnx_model(
        [helper.make_node("Reshape", ["mean", "shape"], ["scores"])], [constant("shape", [7, 7], np.int64)]
    )


def throws_at_blue() -> bytes:
    """Looks up a row that is not there when a picture of the batch is bluer than half."""
    nodes = [
        helper.make_node("ReduceMax", ["mean"], ["bluest"], axes=[0], keepdims=0),
        helper.make_node("Gather", ["bluest", "two"], ["blue"]),
        helper.make_node("Mul", ["blue", "twice"], ["row"]),
        helper.make_node("Cast", ["row"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["rows", "index"], ["nothing"]),
        helper.make_node("Add", ["mean", "nothing"], ["scores"]),
    ]
    return onnx_model(
        nodes, [constant("two", 2, np.int64), constant("twice", 2.0), constant("rows", [[0.0, 0.0, 0.0]])]
    )


@dataclass(frozen=True)
class Broken:
    """A recognizer that is declared as the good one is, but whose model is another; what its answers' reason says."""

    model: Callable[[], bytes] | None
    reason: str
    declared: bool = True
    status: str = FAILED


BROKEN = {
    "nan": Broken(never_a_number, "NaN"),
    "many": Broken(too_many, "6 scores, labels name 3"),
    "deep": Broken(no_line_each, "scores of shape"),
    "throws": Broken(throws, "cannot be run"),
    "cut": Broken(lambda: too_many()[:-40], "truncated or corrupted"),
    "other": Broken(too_many, "its sha256 differs", declared=False),
    "text": Broken(lambda: b"no model", "truncated or corrupted"),
    "gone": Broken(None, "No such file"),
}


def declare(models: Path, name: str, broken: Broken) -> None:
    """As if added when it was whole: the good contract with another file, without self-test."""
    contract = json.loads((models / "good.json").read_text())
    file = models / f"{name}.onnx"
    if broken.model:
        file.write_bytes(broken.model())
    declared = {"sha256": sha256_file(file)} if broken.model and broken.declared else {}
    changed = {"name": name, "file": file.name, "self_test": None, **declared}
    (models / f"{name}.json").write_text(json.dumps(contract | changed))


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab with one recognizer, which takes color for class."""
    return new_lab(tmp_path)


def new_lab(folder: Path) -> Path:
    (folder / "lab.toml").write_text("[models]\nzoo = false\n")
    color_recognizer(folder / "models", "good")
    return folder


def scored(lab: Path, pictures: Path, *words: object, code: int = 5) -> tuple[dict, list[dict]]:
    """The envelope, and the answers as they were kept."""
    done = dpcam("score", "--images", pictures, "--class-from-folder", "--out", "out", *words, "--json", cwd=lab)
    envelope = answer(done)
    assert envelope["exit_code"] == code, done.stderr + done.stdout
    lines = (lab / "out" / "scores.jsonl").read_text().splitlines()
    return envelope, [json.loads(line) for line in lines]


def assert_once_and_only_once(envelope: dict, answers: list[dict], files: int) -> None:
    """Of each recognizer as many answers as there are files, no name twice; the rows are the sums of them."""
    assert envelope["data"]["files"] == files
    by_model: dict[str, list[dict]] = {}
    for each in answers:
        by_model.setdefault(each["model"], []).append(each)
    rows = {row["model"]: row for row in envelope["data"]["rows"]}
    assert len(rows) == len(envelope["data"]["rows"])
    assert rows.keys() == by_model.keys()
    for model, mine in by_model.items():
        assert len(mine) == len({each["sample"] for each in mine}) == files
        count = Counter(each["status"] for each in mine)
        row = rows[model]
        assert row["n"] == files
        assert {
            SCORED: row["scored"],
            FAILED: row["failed"],
            MISSING: row["not_applicable"],
            "missed": row["missed"],
        } == {status: count[status] for status in (SCORED, FAILED, MISSING, "missed")}
        assert all(each["reason"] for each in mine if each["status"] != SCORED)


@pytest.fixture(scope="module")
def every_file(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, list[dict]]:
    """What three recognizers say to all of them; one of these does not know the class."""
    lab = new_lab(tmp_path_factory.mktemp("lab"))
    color_recognizer(lab / "models", "stranger", labels=("a", "b", "c"))
    color_recognizer(lab / "models", "twin", held_out=True)
    return scored(lab, pictures)


def test_every_file_has_one_answer_of_each_recognizer(every_file: tuple[dict, list[dict]]):
    envelope, answers = every_file
    assert_once_and_only_once(envelope, answers, len(FILES))
    assert {row["model"] for row in envelope["data"]["rows"]} == {"good", "stranger", "twin"}
    mine = {each["sample"]: each for each in answers if each["model"] == "good"}
    for file in FILES:
        each = mine[f"red/{written(file.name)}"]
        assert (each["status"], file.reason in each["reason"]) == (file.status, True), each
        assert file.status != SCORED or "gray" in each["sample"] or "one-bit" in each["sample"] or each["correct"], each
    for each in answers:
        if each["model"] == "stranger":
            assert each["status"] in (MISSING, FAILED)
            assert each["status"] == FAILED or "'red' is none of the 3 labels of stranger" in each["reason"]


def written(name: str | bytes) -> str:
    """How a name stands in the answers."""
    if isinstance(name, str):
        return name
    return name.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


def test_the_same_bytes_twice_are_two_answers_that_say_the_same(every_file: tuple[dict, list[dict]]):
    names = {"red/plain.png", "red/plain again.png"}
    once, again = (each for each in every_file[1] if each["sample"] in names and each["model"] == "good")
    own = {"sample", "cell", "cluster"}
    assert {k: v for k, v in once.items() if k not in own} == {k: v for k, v in again.items() if k not in own}


def test_what_is_left_out_is_named(every_file: tuple[dict, list[dict]]):
    assert sorted(every_file[0]["data"]["ignored"]) == sorted(f"red/{name}" for name in LEFT_OUT)


@pytest.fixture
def plain_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two of each color."""
    folder = tmp_path_factory.mktemp("plain")
    for label, color in COLORS.items():
        (folder / label).mkdir()
        for number in range(2):
            Image.fromarray(plain(color)).save(folder / label / f"{number}.png")
    return folder


def test_broken_recognizers_cost_only_their_own_answers(lab: Path, plain_pictures: Path):
    for name, broken in BROKEN.items():
        declare(lab / "models", name, broken)
    envelope, answers = scored(lab, plain_pictures)
    assert_once_and_only_once(envelope, answers, 6)
    assert {row["model"] for row in envelope["data"]["rows"]} == {"good", *BROKEN}
    assert all(each["correct"] for each in answers if each["model"] == "good")
    for name, broken in BROKEN.items():
        mine = [each for each in answers if each["model"] == name]
        assert {each["status"] for each in mine} == {FAILED}
        assert all(broken.reason in each["reason"] for each in mine), (name, mine[0]["reason"])
    told = json.dumps(envelope["errors"])
    assert all(each["code"] == "incomplete" for each in envelope["errors"])
    assert "48 answers" in told or all(name in told for name in BROKEN), told


def test_a_recognizer_that_fails_at_some_pictures_answers_the_others(lab: Path, plain_pictures: Path):
    Image.fromarray(plain(BLACK)).save(plain_pictures / "red" / "black.png")
    declare(lab / "models", "sometimes", Broken(throws_at_blue, "cannot be run"))
    envelope, answers = scored(lab, plain_pictures)
    assert_once_and_only_once(envelope, answers, 7)
    by_model = {
        model: {each["sample"]: each["status"] for each in answers if each["model"] == model}
        for model in ("good", "sometimes")
    }
    assert {name for name, status in by_model["sometimes"].items() if status == FAILED} == {"blue/0.png", "blue/1.png"}
    assert {name for name, status in by_model["good"].items() if status == FAILED} == {"red/black.png"}


def test_with_none_but_broken_recognizers_nothing_succeeds(lab: Path, plain_pictures: Path):
    declare(lab / "models", "throws", BROKEN["throws"])
    envelope, answers = scored(lab, plain_pictures, "--models", "throws")
    assert_once_and_only_once(envelope, answers, 6)
    assert {each["status"] for each in answers} == {FAILED}
    assert [row["rate"] for row in envelope["data"]["rows"]] == [None]


def test_the_answers_are_those_without_the_broken_ones(lab: Path, plain_pictures: Path):
    _, alone = scored(lab, plain_pictures, code=0)
    declare(lab / "models", "nan", BROKEN["nan"])
    shutil.rmtree(lab / "out")
    _, beside = scored(lab, plain_pictures)
    assert [each for each in beside if each["model"] == "good"] == alone


def test_files_that_come_and_go_are_one_answer_each_of_what_is_there(lab: Path, plain_pictures: Path):
    """A rerun counts what there is now."""
    scored(lab, plain_pictures, code=0)
    (plain_pictures / "red" / "0.png").unlink()
    Image.fromarray(plain(COLORS["blue"])).save(plain_pictures / "red" / "1.png")
    pillow(RED)(plain_pictures / "red" / "2.png")
    envelope, answers = scored(lab, plain_pictures, code=0)
    assert_once_and_only_once(envelope, answers, 6)
    assert {each["sample"]: each["correct"] for each in answers if each["sample"].startswith("red")} == {
        "red/1.png": False,
        "red/2.png": True,
    }
