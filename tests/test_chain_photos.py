"""Photographs in folders, without tags, session or plan: real ones, and every kind of file that people have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from program import ask, data

ENOUGH = 0.97


@pytest.fixture(scope="module")
def held_out(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs of signs that no recognizer of the zoo has seen, in folders by class."""
    folder = tmp_path_factory.mktemp("photos") / "held-out"
    said = data("models", "split", "--photos", photos, "--out", folder, cwd=folder.parent)
    assert said["files"] == len(list(folder.rglob("*.png"))) > 2000
    assert said["training"] > 4 * said["files"] * 0.9
    return folder


@pytest.mark.slow
def test_every_recognizer_is_right_on_held_out_photographs_and_none_is_left_out(held_out: Path, tmp_path: Path):
    words = ["score", "--images", held_out, "--class-from-folder", "--out", "answers"]
    scored = data(*words, cwd=tmp_path)
    count = len(list(held_out.rglob("*.png")))
    assert scored["files"] == count
    assert len(scored["rows"]) >= 6
    for row in scored["rows"]:
        assert (row["n"], row["scored"], row["failed"]) == (count, count, 0), row
        assert row["rate"] >= ENOUGH, row
    lines = [json.loads(line) for line in (tmp_path / "answers" / "scores.jsonl").read_text().splitlines()]
    assert len({(line["model"], line["sample"]) for line in lines}) == len(lines) == count * len(scored["rows"])


# Every kind of file


def as_gray(image: Image.Image, path: Path) -> None:
    image.convert("L").save(path)


def with_alpha(image: Image.Image, path: Path) -> None:
    image.convert("RGBA").save(path)


def with_16_bits(image: Image.Image, path: Path) -> None:
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)


def turned_by_exif(image: Image.Image, path: Path) -> None:
    """Stored lying, with the note that it is to be turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)


def as_cmyk(image: Image.Image, path: Path) -> None:
    image.convert("CMYK").save(path, quality=95)


def with_palette(image: Image.Image, path: Path) -> None:
    image.convert("P", palette=Image.Palette.ADAPTIVE).save(path)


def as_it_is(image: Image.Image, path: Path) -> None:
    image.save(path)


READABLE = {
    "plain.png": as_it_is,
    "UPPER CASE.JPG": as_it_is,
    "gray.png": as_gray,
    "alpha.png": with_alpha,
    "deep.png": with_16_bits,
    "turned.jpg": turned_by_exif,
    "print shop.jpg": as_cmyk,
    "palette.png": with_palette,
    "old.bmp": as_it_is,
    "web.webp": as_it_is,
    "лист.tiff": as_it_is,
}
UNREADABLE = {"empty.png": b"", "text.jpg": b"this is no picture", "half.png": None}
NO_PICTURES = {"Thumbs.db": b"\0", "notes.txt": b"a class is a folder"}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drawn stop sign in every format, files that are none, and a folder of a class that nobody knows."""
    from patches.artwork import artwork, render

    folder = tmp_path_factory.mktemp("mixed") / "pictures"
    for name in ("stop", "14", "yeti"):
        (folder / name).mkdir(parents=True)
    sign = Image.fromarray(render(artwork("stop"), 100))
    picture = Image.new("RGB", (124, 124), (120, 140, 110))
    picture.paste(sign, (12, 12), sign)
    for name, save in READABLE.items():
        save(picture, folder / "stop" / name)
    picture.save(folder / "14" / "by number.png")
    picture.save(folder / "yeti" / "seen.png")
    whole = (folder / "stop" / "plain.png").read_bytes()
    for name, content in (UNREADABLE | NO_PICTURES).items():
        (folder / "stop" / name).write_bytes(whole[: len(whole) // 2] if content is None else content)
    return folder


def test_each_file_is_counted_once_and_says_what_became_of_it(mixed: Path, tmp_path: Path):
    words = ["score", "--images", mixed, "--class-from-folder", "--out", "answers"]
    envelope = ask(*words, cwd=tmp_path, code=5)
    assert envelope["errors"][0]["code"] == "incomplete"
    files = len(READABLE) + len(UNREADABLE) + 2
    assert envelope["data"]["files"] == files
    rows = envelope["data"]["rows"]
    assert len(rows) == 6
    for row in rows:
        assert row["n"] == files
        assert (row["failed"], row["not_applicable"], row["missed"]) == (len(UNREADABLE), 1, 0)
        assert row["scored"] == len(READABLE) + 1
    answers = [json.loads(line) for line in (tmp_path / "answers" / "scores.jsonl").read_text().splitlines()]
    by_status = {
        status: {a["sample"] for a in answers if a["status"] == status} for status in {a["status"] for a in answers}
    }
    assert by_status["failed"] == {f"stop/{name}" for name in UNREADABLE}
    assert by_status["not-applicable"] == {"yeti/seen.png"}
    assert by_status["scored"] == {f"stop/{name}" for name in READABLE} | {"14/by number.png"}
    assert all(a["reason"] for a in answers if a["status"] != "scored")
    assert all(a["truth"] == "stop" for a in answers if a["status"] == "scored"), "14 is the number of stop"


def test_whatever_holds_the_picture_the_picture_is_the_same(mixed: Path, tmp_path: Path):
    """Lossless containers give the very same answer, and a picture that lay on its side is read upright."""
    words = ["score", "--images", mixed, "--class-from-folder", "--out", "answers"]
    ask(*words, cwd=tmp_path, code=5)
    answers = [json.loads(line) for line in (tmp_path / "answers" / "scores.jsonl").read_text().splitlines()]
    probability = {(a["model"], a["sample"].partition("/")[2]): a["probability"] for a in answers}
    for model in {a["model"] for a in answers}:
        for same in ("alpha.png", "old.bmp", "лист.tiff", "by number.png"):
            assert probability[model, same] == probability[model, "plain.png"]
        assert probability[model, "deep.png"] == probability[model, "gray.png"]
        assert abs(probability[model, "turned.jpg"] - probability[model, "plain.png"]) < 0.05


def test_one_class_for_all_and_none_at_all(mixed: Path, tmp_path: Path):
    labelled = ask("score", "--images", mixed / "yeti", "--label", "stop", "--models", "vgg,cct", cwd=tmp_path)
    assert {(row["model"], row["scored"], row["correct"]) for row in labelled["data"]["rows"]} == {
        ("vgg", 1, 1),
        ("cct", 1, 1),
    }
    unlabelled = ask("score", "--images", mixed / "yeti", "--models", "vgg", cwd=tmp_path)
    (row,) = unlabelled["data"]["rows"]
    assert (row["scored"], row["correct"], row["rate"]) == (1, None, None)


def test_a_picture_beside_the_class_folders_is_refused(mixed: Path, tmp_path: Path):
    (error,) = ask("score", "--images", mixed / "stop", "--class-from-folder", cwd=tmp_path, code=3)["errors"]
    assert "lies in" in error["message"]
