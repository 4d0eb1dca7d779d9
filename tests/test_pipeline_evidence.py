"""Evidence packs: what is in them, that they score the same elsewhere, and that whatever was changed is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from colors import color_recognizer
from packs import MODEL, SHEET, Files, forged, read_pack, small_pack, small_session, with_manifest, zipped
from program import ask, data

from calibration.errors import BadEvidence, BadInput, MissingFile
from calibration.files import sha256_bytes, sha256_file
from capture.session import read_session
from pipeline.evidence.check import find_problems, open_pack, score_again
from pipeline.evidence.compare import compare
from pipeline.evidence.manifest import ScoringOrder, other_versions
from pipeline.evidence.pack import Content, Packed, pack
from pipeline.evidence.unpack import unpack
from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.scoring.score import Line

FRAME = "session/frames/staged-test/000001.png"
JOURNAL = "session/events.jsonl"
SIGNS = ("general-caution", "stop", "yield")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return small_pack(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def files(small: Packed) -> Files:
    return read_pack(small.path)


def quiet(*_: object) -> None:
    return


def content(folder: Path, **more: object) -> Content:
    """Of a small session, without answers."""
    recognizers = [color_recognizer(folder / "models", "near")]
    return replace(Content(read_session(small_session(folder)), recognizers, ScoringOrder(), ()), **more)


# What is in a pack


def test_a_pack_holds_the_session_its_recognizers_and_their_answers(small: Packed, files: Files):
    session = [name for name in files if name.startswith("session/")]
    assert {name.split("/")[1] for name in session} == {"session.json", "events.jsonl", "seal.json", "inputs", "frames"}
    assert len([name for name in session if name.endswith(".png")]) == 6
    assert {name for name in files if name.startswith("models/")} == {
        f"models/{name}/{name}{suffix}" for name in ("near", "far") for suffix in (".json", ".onnx")
    }
    answers = [json.loads(line) for line in files["scores.jsonl"].splitlines()]
    assert (len(answers), small.evidence.answers) == (10, 10)
    assert {each["model"] for each in answers} == {"near", "far"}


def test_the_manifest_says_all_of_it(small: Packed, files: Files):
    manifest = json.loads(files["evidence.json"])
    assert manifest == small.evidence.model_dump(mode="json")
    assert {each["path"]: (each["bytes"], each["sha256"]) for each in manifest["files"]} == {
        name: (len(data), sha256_bytes(data))
        for name, data in files.items()
        if name not in ("evidence.json", "SHA256SUMS")
    }
    assert manifest["total_bytes"] == sum(each["bytes"] for each in manifest["files"])
    assert "dpcam evidence check PACK.zip" in manifest["commands"]
    assert {each["name"]: each["held_out"] for each in manifest["models"]} == {"near": False, "far": True}
    assert {"numpy", "pillow"} <= set(manifest["packages"])
    assert (small.sha256, small.bytes) == (sha256_file(small.path), small.path.stat().st_size)


def test_pictures_are_stored_and_text_is_deflated(small: Packed):
    with zipfile.ZipFile(small.path) as archive:
        method = {info.filename: info.compress_type for info in archive.infolist()}
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert {method[name] for name in method if name.endswith(".png")} == {zipfile.ZIP_STORED}
    assert {method[name] for name in method if not name.endswith(".png")} == {zipfile.ZIP_DEFLATED}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    what = content(tmp_path)
    first, second = pack(what, tmp_path / "a.zip", quiet), pack(what, tmp_path / "b" / "other.zip", quiet)
    assert first.path.read_bytes() == second.path.read_bytes()


def test_what_belongs_to_no_session_stays_out(tmp_path: Path):
    what = content(tmp_path)
    at = what.session.folder
    for stray in ("derived/scores-0.jsonl", "frames/staged-test/000099.png", "orphans/x", "inputs/stray", ".lock"):
        (at / stray).parent.mkdir(exist_ok=True)
        (at / stray).write_text("stray")
    names = read_pack(pack(what, tmp_path / "a.zip", quiet).path)
    assert not [name for name, content in names.items() if content == b"stray"]


def test_a_session_that_was_not_ended_can_be_packed(tmp_path: Path):
    done = small_pack(tmp_path, sealed=False)
    assert not done.evidence.sealed
    _, problems = open_pack(done.path, tmp_path / "there")
    assert problems == []


def test_a_person_can_check_it_without_dpcam(small: Packed, files: Files, tmp_path: Path):
    with zipfile.ZipFile(small.path) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")
    readme = files["README.txt"].decode()
    assert small.evidence.session in readme
    assert "sha256sum --check SHA256SUMS" in readme
    assert "near: no licence is stated" in readme


def test_a_session_that_contradicts_itself_is_not_packed(tmp_path: Path):
    what = content(tmp_path)
    picture = what.session.frames[0].path
    picture.write_bytes(picture.read_bytes()[::-1])
    with pytest.raises(BadEvidence, match=picture.name):
        pack(what, tmp_path / "out" / "a.zip", quiet)
    picture.unlink()
    with pytest.raises(MissingFile, match=picture.name):
        pack(what, tmp_path / "out" / "a.zip", quiet)
    assert list((tmp_path / "out").iterdir()) == []


def test_recognizers_whose_names_clash_elsewhere_are_not_packed(tmp_path: Path):
    both = [color_recognizer(tmp_path / folder, name) for folder, name in (("a", "near"), ("b", "Near"))]
    with pytest.raises(BadEvidence, match="same file"):
        pack(content(tmp_path, recognizers=both), tmp_path / "a.zip", quiet)


@pytest.mark.parametrize(
    ("order", "options"),
    [
        ({}, "--provider cpu"),
        ({"provider": "cuda", "seed": 7}, "--provider cuda"),
        ({"views": ["object"], "seed": 7}, "--provider cpu --views object --jitter 0 --seed 7"),
        (
            {"noises": ["fog"], "severities": [3, 5], "noise_at": "camera"},
            "--provider cpu --noises fog --severities 3,5 --noise-at camera --seed 0",
        ),
    ],
)
def test_what_was_asked_can_be_asked_again(order: dict, options: str):
    assert ScoringOrder(**order).options == options


# What was changed is named


def edited(name: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        assert old in files[name]
        return files | {name: files[name].replace(old, new, 1)}

    return change


def flipped(name: str) -> Callable[[Files], Files]:
    return lambda files: files | {name: files[name][:-9] + bytes([files[name][-9] ^ 1]) + files[name][-8:]}


def lines_of(files: Files, name: str) -> list[bytes]:
    return files[name].splitlines(keepends=True)


def line(name: str, number: int, *new: bytes) -> Callable[[Files], Files]:
    """Other lines in place of line ``number``."""
    return lambda files: (
        files | {name: b"".join([*lines_of(files, name)[: number - 1], *new, *lines_of(files, name)[number:]])}
    )


def both(*changes: Callable[[Files], Files]) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        for each in changes:
            files = each(files)
        return files

    return change


TAMPERED = {
    "frame": (flipped(FRAME), FRAME, ""),
    "truth": (edited("session/frames/staged-test/000001.truth.json", b"1", b"2"), "000001.truth.json", ""),
    "sheet": (edited(SHEET, b"stop", b"step"), SHEET, ""),
    "plan": (edited("session/inputs/plan.json", b'"patch"', b'"batch"'), "session/inputs/plan.json", ""),
    "header": (edited("session/session.json", b'"seed": 0', b'"seed": 8'), "session/session.json", ""),
    "seal": (edited("session/seal.json", b'"frames": 5', b'"frames": 6'), "session/seal.json", ""),
    "model": (flipped(f"{MODEL}.onnx"), f"{MODEL}.onnx", ""),
    "contract": (edited(f"{MODEL}.json", b'"color": "RGB"', b'"color": "BGR"'), f"{MODEL}.json", ""),
    "answer": (edited("scores.jsonl", b'"missed"', b'"scored"'), "scores.jsonl", "line 1:"),
    "readme": (edited("README.txt", b"whole", b"wrong"), "README.txt", ""),
    "hashes of lines": (flipped("lines/events.txt"), "lines/events.txt", ""),
    "journal": (edited(JOURNAL, b"lamp was cold", b"lamp was warm"), JOURNAL, "line 2:"),
    "journal, two lines": (
        both(edited(JOURNAL, b"lamp was cold", b"lamp was warm"), edited(JOURNAL, b"still there", b"seems there")),
        JOURNAL,
        "lines 2, 10:",
    ),
    "journal, a line gone": (line(JOURNAL, 2), JOURNAL, "from line 2 on"),
    "journal, a line more": (line(JOURNAL, 2, b"{}\n", b"{}\n"), JOURNAL, "from line 2 on"),
    "journal, a longer line": (edited(JOURNAL, b"still there", b"still standing there"), JOURNAL, "from line 10 on"),
    "journal, cut off": (line(JOURNAL, 11), JOURNAL, "from line 11 on"),
    "manifest, a licence": (
        lambda files: edited_manifest(files, b'"licence": ""', b'"licence": "MIT"'),
        "evidence",
        "",
    ),
    "manifest, a hash": (
        lambda files: edited_manifest(files, sha256_bytes(files[FRAME]).encode(), b"0" * 64),
        "evidence.json",
        "",
    ),
    "sums": (flipped("SHA256SUMS"), "SHA256SUMS", ""),
}


def edited_manifest(files: Files, old: bytes, new: bytes) -> Files:
    return edited("evidence.json", old, new)(files)


def problems_of(files: Files, folder: Path) -> list[tuple[str, str]]:
    """Where and what, whether it shows when the pack is unpacked or when it is looked into."""
    (folder / "pack.zip").write_bytes(zipped(files.items()))
    try:
        _, problems = open_pack(folder / "pack.zip", folder / "there")
    except BadEvidence as error:
        return [(error.where, error.message)]
    assert (folder / "there").exists() == (not problems)
    return [(each.where, each.message) for each in problems]


@pytest.mark.parametrize("name", TAMPERED)
def test_what_was_changed_is_named(name: str, files: Files, tmp_path: Path):
    change, file, where = TAMPERED[name]
    found = problems_of(change(files), tmp_path)
    assert file in found[0][1]
    assert where in found[0][1]
    if file != "SHA256SUMS":
        assert all(file in each for each, _ in found if "manifest" not in name)


def test_everything_that_was_changed_is_named(files: Files, tmp_path: Path):
    changed = both(flipped(FRAME), flipped(f"{MODEL}.onnx"), edited(JOURNAL, b"cold", b"warm"))(files)
    found = problems_of(changed, tmp_path)
    assert {where for where, _ in found} == {FRAME, f"{MODEL}.onnx", JOURNAL}


FORGED = {
    "frame": (flipped(FRAME), {}, FRAME, "than the session recorded"),
    "sheet": (edited(SHEET, b"stop", b"step"), {}, SHEET, "than the session recorded"),
    "journal": (edited(JOURNAL, b"cold", b"warm"), {}, JOURNAL, "than the session recorded"),
    "journal, a line gone": (line(JOURNAL, 2), {}, f"{JOURNAL}, line 2", "1 is due"),
    "header": (edited("session/session.json", b'"seed": 0', b'"seed": 8'), {}, "session/session.json", "recorded"),
    "a frame gone": (lambda files: {k: v for k, v in files.items() if k != FRAME}, {}, FRAME, "is missing"),
    "a frame more": (lambda files: files | {f"{FRAME}.png": b"x"}, {}, f"{FRAME}.png", "belongs to nothing"),
    "model": (flipped(f"{MODEL}.onnx"), {}, f"{MODEL}.onnx", "its contract declares"),
    "contract": (edited(f"{MODEL}.json", b'"held_out": false', b'"held_out": true'), {}, f"{MODEL}.json", "declares"),
    "file of a model": (edited(f"{MODEL}.json", b'"near.onnx"', b'"../x.onnx"'), {}, f"{MODEL}.json", "without folder"),
    "session": (lambda files: files, {"session": "another"}, "evidence.json", "another session"),
    "seal": (
        lambda files: {k: v for k, v in files.items() if k != "session/seal.json"},
        {},
        "evidence.json",
        "another session",
    ),
    "answers": (lambda files: files, {"answers": 9}, "evidence.json", "9 answers"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_manifest_made_anew_does_not_hide_what_session_and_contracts_know(name: str, files: Files, tmp_path: Path):
    change, manifest, where, words = FORGED[name]
    found = problems_of(forged(change(files), **manifest), tmp_path)
    assert [each for each, _ in found] == [where]
    assert words in found[0][1]
    assert str(tmp_path) not in found[0][1]


def test_a_whole_forgery_is_not_found_and_has_another_hash(files: Files, small: Packed, tmp_path: Path):
    """What a signature would be needed for; the documents say so."""
    without_seal = {name: data for name, data in files.items() if name != "session/seal.json"}
    remade = forged(edited(JOURNAL, b"cold", b"warm")(without_seal), sealed=False)
    assert problems_of(remade, tmp_path) == []
    assert sha256_file(tmp_path / "pack.zip") != small.sha256


# Answers held against answers


def answered(sample: str = "000000", **more: object) -> Line:
    scored = Line(sample, "bare", "cell", "net", False, "scored", truth="a", predicted="a", correct=True)
    return replace(scored, **{"probability": 0.9, "top": (("a", 0.9), ("b", 0.1)), **more})


ONE, TWO = answered(), answered("000001")


@pytest.mark.parametrize(
    ("again", "compared", "difference", "changed"),
    [
        ([ONE, TWO], 2, 0, 0),
        ([TWO, ONE], 2, 0, 0),
        ([ONE, replace(TWO, probability=0.75)], 2, 0.15, 0),
        ([ONE, replace(TWO, top=(("a", 0.9), ("b", 0.0)))], 2, 0.1, 0),
        ([ONE, replace(TWO, top=(("a", 0.9), ("c", 0.1)))], 2, 0, 0),
        ([ONE, replace(TWO, predicted="b")], 2, 0, 1),
        ([ONE, replace(TWO, status="failed", probability=None)], 2, 0, 1),
        ([ONE, replace(TWO, margin=0.5)], 2, 0, 1),
        ([ONE, replace(TWO, reason="said otherwise")], 2, 0, 0),
        ([ONE, replace(TWO, noise="fog")], 1, 0, 2),
        ([ONE], 1, 0, 1),
        ([ONE, TWO, answered("000002")], 2, 0, 1),
        ([ONE, TWO, TWO], 2, 0, 1),
        ([], 0, 0, 2),
    ],
)
def test_answers_are_compared_by_what_they_answer(again: list[Line], compared: int, difference: float, changed: int):
    found = compare([ONE, TWO], again)
    assert (found.compared, found.changed) == (compared, changed)
    assert found.max_difference == pytest.approx(difference)
    assert found.identical == (changed == 0 and difference == 0)
    assert found.within(0.2) == (changed == 0)
    assert ("000001 by net" in found.largest) == (difference > 0)


def test_what_is_of_another_version_here_is_said(small: Packed):
    assert other_versions(small.evidence) == []
    packages = small.evidence.packages | {"numpy": "1.0"}
    elsewhere = small.evidence.model_copy(update={"dpcam": "9.9", "packages": packages})
    assert [each.split()[:2] for each in other_versions(elsewhere)] == [["dpcam", "9.9"], ["numpy", "1.0"]]


# The real program: packed in a lab, checked where there is none


@pytest.fixture(scope="module")
def lab(captured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lab with a recognizer of its own, and a session."""
    folder = tmp_path_factory.mktemp("evidence") / "lab"
    data("init", folder.name, cwd=folder.parent)
    color_recognizer(folder / "models", "colors", labels=SIGNS)
    shutil.copytree(captured, folder / "sessions" / "one", ignore=shutil.ignore_patterns("derived"))
    return folder


SCORED = ("--views", "natural,object", "--noises", "fog", "--severities", "3")


@pytest.fixture(scope="module")
def packed(lab: Path) -> dict:
    """What ``dpcam export`` answers."""
    (lab / "report.html").write_text("<!doctype html><p>PASS")
    words = ("--models", "vgg,colors", "--report", "report.html", "--out", "a.zip", *SCORED)
    return data("export", "--evidence", "sessions/one", *words, cwd=lab)


def test_a_pack_scores_the_same_in_another_place(lab: Path, packed: dict, tmp_path: Path):
    found = data("evidence", "check", lab / "a.zip", "--work", "work", cwd=tmp_path)
    assert (found["identical"], found["max_difference"], found["compared"], found["problems"]) == (True, 0, 112, [])
    assert {key: found[key] for key in ("sha256", "files", "bytes")} == {
        key: packed[key] for key in ("sha256", "files", "bytes")
    }
    assert list((tmp_path / "work").iterdir()) == []


def test_the_answer_of_export(lab: Path, packed: dict):
    assert packed["evidence"] == "a.zip"
    assert (packed["bytes"], packed["sha256"]) == ((lab / "a.zip").stat().st_size, sha256_file(lab / "a.zip"))
    assert packed["models"] == {"vgg": "Apache-2.0", "colors": ""}
    names = read_pack(lab / "a.zip")
    assert packed["files"] == len(names) - 2
    assert names["report.html"] == b"<!doctype html><p>PASS"


def test_an_unpacked_pack_is_a_session_in_a_lab_of_its_own(lab: Path, packed: dict, tmp_path: Path):
    would = data("evidence", "unpack", lab / "a.zip", "--dry-run", cwd=tmp_path)
    assert not (tmp_path / "a").exists()
    found = data("evidence", "unpack", lab / "a.zip", cwd=tmp_path)
    assert found == would
    scored = data("score", found["session"], "--lab", found["folder"], *SCORED, cwd=tmp_path)
    assert {row["model"] for row in scored["rows"]} == {"vgg", "colors"}
    answers = b"".join(
        path.read_bytes() for path in sorted((tmp_path / scored["scores"]).glob("*.jsonl"), reverse=True)
    )
    assert answers == (tmp_path / "a" / "scores.jsonl").read_bytes()
    assert data("session", "check", found["session"], cwd=tmp_path)["complete"]


def test_other_answers_are_a_limit_that_is_not_met(lab: Path, packed: dict, tmp_path: Path):
    files = read_pack(lab / "a.zip")
    lines = [json.loads(each) for each in files["scores.jsonl"].splitlines()]
    found = next(each for each in lines if each["status"] == "scored")
    found["probability"] -= 0.01
    text = b"".join(json.dumps(each).encode() + b"\n" for each in lines)
    (tmp_path / "other.zip").write_bytes(zipped(forged(files | {"scores.jsonl": text}).items()))
    answer = ask("evidence", "check", "other.zip", "--tolerance", "0.001", cwd=tmp_path, code=6)
    assert answer["data"]["identical"] is False
    assert answer["data"]["max_difference"] == pytest.approx(0.01)
    assert answer["data"]["largest"] == f"sample {found['sample']} by {found['model']}"
    assert found["sample"] in answer["errors"][0]["message"]


def test_a_tampered_pack_is_an_invalid_input(lab: Path, packed: dict, tmp_path: Path):
    files = read_pack(lab / "a.zip")
    frame = next(name for name in files if name.endswith("3.png"))
    (tmp_path / "bad.zip").write_bytes(zipped(flipped(frame)(files).items()))
    answer = ask("evidence", "check", "bad.zip", cwd=tmp_path, code=3)
    assert [(each["code"], each["where"]) for each in answer["errors"]] == [("evidence", frame)]
    assert (answer["data"]["identical"], answer["data"]["compared"]) == (None, 0)
    assert answer["data"]["problems"] == [each["message"] for each in answer["errors"]]
    ask("evidence", "unpack", "bad.zip", cwd=tmp_path, code=3)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.zip"]


def test_a_malicious_pack_is_an_invalid_input(files: Files, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "bad.zip").write_bytes(zipped([*files.items(), ("../evil", b"")]))
    answer = ask("evidence", "check", "bad.zip", cwd=tmp_path / "in", code=3)
    assert (answer["errors"][0]["code"], answer["errors"][0]["where"]) == ("evidence", "../evil")
    assert len(answer["data"]["problems"]) == 1
    assert answer["data"]["sha256"] == sha256_file(tmp_path / "in" / "bad.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_export_says_what_it_would_pack(lab: Path, tmp_path: Path):
    would = data("export", "--evidence", lab / "sessions/one", "--models", "vgg", "--dry-run", cwd=lab)
    assert would["models"] == ["vgg"]
    assert would["bytes"] > 10**6
    for wrong in ((), ("--evidence", "--report", "a.pdf"), ("--evidence", "--noises", "fog", "--severities", "6")):
        assert ask("export", lab / "sessions/one", *wrong, cwd=tmp_path, code=2)["errors"][0]["code"] == "usage"


def test_a_session_that_is_being_captured_is_not_packed(tmp_path: Path):
    from sessions import again

    folder = small_session(tmp_path, sealed=False)
    with again(folder):
        assert ask("export", "--evidence", folder, cwd=tmp_path, code=4)["errors"][0]["code"] == "locked"


def test_lines_of_answers_that_are_none_are_named(files: Files, tmp_path: Path):
    lines = files["scores.jsonl"].splitlines(keepends=True)
    broken = b"".join([*lines[:3], b'{"sample": 3}\n', *lines[4:]])
    (tmp_path / "bad.zip").write_bytes(zipped(forged(files | {"scores.jsonl": broken}).items()))
    evidence = unpack(tmp_path / "bad.zip", tmp_path / "there")
    assert find_problems(tmp_path / "there", evidence) == []
    with pytest.raises(BadInput, match=r"scores\.jsonl, line 4"):
        score_again(tmp_path / "there", evidence, None, quiet)


def test_zoo_models_may_be_handed_on():
    assert all(each.contract.licence for each in load_recognizers([zoo_folder()]))


def test_a_manifest_with_other_sums_is_as_good_as_new(files: Files, tmp_path: Path):
    assert problems_of(with_manifest(files), tmp_path) == []
