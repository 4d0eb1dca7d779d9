"""``dpcam print verify``: prints of known scale, photographed by the simulator; and photographs that are no use."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from PIL import Image
from program import ask, data, dpcam

from calibration.files import read_document, write_document
from calibration.print_fit import Estimate
from pipeline.bench.print_trials import PRINTS, TrialScene, photograph_print, run_trial, trial_scene
from pipeline.paper.placing import Placement
from pipeline.paper.sighting import Ground
from pipeline.paper.verifying import Certificate, ProofOrder, judge, prove_photographs

BOUNDS = {"scale_x", "scale_y", "anisotropy", "skew_deg", "flatness_mm", "placement_mm", "placement_deg"}


@dataclass(frozen=True)
class Shots:
    """Three photographs of a true print beside a board, as files, and the words that measure them."""

    lab: Path
    sheet: str
    photos: tuple[Path, ...]
    size: str

    @property
    def by_board(self) -> tuple[object, ...]:
        return ("--sheet", self.sheet, "--reference", "board.json", "--reference-mm", self.size)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> TrialScene:
    return trial_scene(tmp_path_factory.mktemp("scene") / "lab")


@pytest.fixture(scope="module")
def shots(scene: TrialScene) -> Shots:
    lab = scene.folder.parent
    photographs, ground = photograph_print(scene, (1.0, 1.0), np.random.default_rng(8))
    paths = tuple(lab / f"photo-{i}.png" for i in range(3))
    for path, each in zip(paths, photographs, strict=True):
        Image.fromarray(each.pixels).save(path, compress_level=1)
    write_document(lab / "board.json", scene.board)
    write_document(lab / "camera.json", scene.shop.model)
    return Shots(lab, scene.sheet.id, paths, f"{ground.width_mm:.2f}x{ground.height_mm:.2f}")


@pytest.mark.parametrize("number", range(len(PRINTS)), ids=str)
def test_the_scale_of_a_print_is_measured(scene: TrialScene, number: int):
    trial = run_trial(scene, PRINTS[number], (3, number))
    assert np.abs(trial.errors).max() < 0.002
    assert trial.verdict == ("PASS", "FAIL", "FAIL", "INCONCLUSIVE")[number]
    for found, true in ((trial.measured_x, trial.scale_x), (trial.measured_y, trial.scale_y)):
        assert abs(found.value - true) < 1.5 * (found.high - found.low) / 2
    assert trial.placement_mm < 0.2


def test_a_true_print_passes_and_is_certified(shots: Shots, tmp_path: Path):
    words = (*shots.photos, *shots.by_board, "--camera", "camera.json", "--out", tmp_path)
    found = data("print", "verify", *words, cwd=shots.lab)
    assert (found["verdict"], found["sheet"]) == ("PASS", shots.sheet)
    assert set(found["low"]) == set(found["high"]) == BOUNDS
    for key in BOUNDS:
        assert found["low"][key] <= found[key] <= found["high"][key]
    assert found["scale_x"] == pytest.approx(1, abs=0.002)
    assert found["skew_deg"] == pytest.approx(0, abs=0.05)
    written = read_document(Path(found["certificate"]), Certificate)
    assert written.model_dump(mode="json").items() <= found.items()
    assert [each.file for each in written.photographs] == [path.name for path in shots.photos]
    with Image.open(found["picture"]) as picture:
        assert picture.size[0] > 1000


def test_the_words_in_the_picture_are_whole(shots: Shots, tmp_path: Path):
    found = data("print", "verify", shots.photos[0], *shots.by_board, "--out", tmp_path, cwd=shots.lab)
    head = np.array(Image.open(found["picture"]))[:200]
    assert head.shape[1] == 640
    assert (head[:, -8:] == 255).all()
    assert (head[:30] < 128).any()


TRUE, OFF, UNSURE = Estimate(1.0, 0.999, 1.001), Estimate(0.985, 0.984, 0.986), Estimate(0.99, 0.989, 0.991)


@pytest.mark.parametrize(
    ("scales", "ratio", "word"),
    [
        ((TRUE, TRUE), TRUE, "PASS"),
        ((TRUE, OFF), OFF, "FAIL"),
        ((UNSURE, OFF), TRUE, "FAIL"),
        ((UNSURE, TRUE), UNSURE, "INCONCLUSIVE"),
        ((None, None), TRUE, "INCONCLUSIVE"),
        ((None, None), OFF, "INCONCLUSIVE"),
        ((None, None), Estimate(0.975, 0.974, 0.976), "FAIL"),
    ],
)
def test_the_verdict_is_that_of_the_whole_interval(scales: tuple, ratio: Estimate, word: str):
    assert judge(*scales, ratio, 0.01).word == word


def test_over_the_limit_is_exit_code_6(shots: Shots, tmp_path: Path):
    width, height = (float(side) * 1.02 for side in shots.size.split("x"))
    size = f"{width:.2f}x{height:.2f}"
    words = (*shots.photos, "--sheet", shots.sheet, "--reference", "board.json", "--reference-mm", size)
    over = ask("print", "verify", *words, "--out", tmp_path, cwd=shots.lab, code=6)
    assert (over["data"]["verdict"], over["errors"][0]["code"]) == ("FAIL", "limit")
    assert over["data"]["scale_x"] == pytest.approx(1.02, abs=0.002)


def test_without_a_reference_no_scale_is_claimed(shots: Shots, tmp_path: Path):
    found = ask("print", "verify", *shots.photos, "--sheet", shots.sheet, "--out", tmp_path, cwd=shots.lab, code=6)
    values = found["data"]
    assert values["scale_x"] is values["scale_y"] is values["low"]["scale_x"] is values["high"]["scale_y"] is None
    assert values["verdict"] == "INCONCLUSIVE"
    assert values["anisotropy"] == pytest.approx(1, abs=0.004)
    assert "--reference" in found["errors"][0]["hint"]


def test_the_printed_ruler_is_a_reference_too(shots: Shots, tmp_path: Path):
    words = (*shots.photos, "--sheet", shots.sheet, "--ruler-mm", 100.1, "--out", tmp_path)
    found = data("print", "verify", *words, cwd=shots.lab)
    assert found["scale_x"] == pytest.approx(1.001, abs=0.002)
    assert found["reference"] == [{"what": "ruler", "size_mm": [100.1], "sd_mm": 0.1}]


def _gray(_: Path, path: Path) -> None:
    Image.new("RGB", (800, 600), (120, 120, 120)).save(path)


def _blown_out(photo: Path, path: Path) -> None:
    pixels = np.asarray(Image.open(photo), dtype=np.float32)
    Image.fromarray(np.clip(pixels * 4 + 180, 0, 255).astype(np.uint8)).save(path)


def _half(photo: Path, path: Path) -> None:
    whole = photo.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _without_board(photo: Path, path: Path) -> None:
    picture = np.array(Image.open(photo))
    picture[:, picture.shape[1] // 2 :] = 90
    Image.fromarray(picture).save(path)


def _again(photo: Path, path: Path) -> None:
    shutil.copy(photo, path)


BAD = {
    "no tags": (_gray, "shows no tag of the sheet"),
    "blown out": (_blown_out, "blown out to white"),
    "torn": (_half, "cannot be decoded"),
    "twice": (_again, "the same picture"),
}


@pytest.mark.parametrize("case", BAD, ids=str)
def test_a_bad_photograph_is_named_and_nothing_is_written(shots: Shots, tmp_path: Path, case: str):
    make, words = BAD[case]
    bad = tmp_path / "bad.png"
    make(shots.photos[0], bad)
    out = tmp_path / "out"
    found = ask("print", "verify", shots.photos[0], bad, *shots.by_board, "--out", out, cwd=shots.lab, code=3)
    (error,) = found["errors"]
    assert words in error["message"]
    assert "bad.png" in error["message"]
    assert "\n" not in error["message"]
    assert not out.exists()


def test_every_bad_photograph_has_its_own_line(shots: Shots, tmp_path: Path):
    _gray(shots.photos[0], tmp_path / "a.png")
    _half(shots.photos[0], tmp_path / "b.png")
    done = dpcam("print", "verify", tmp_path, shots.photos[0], "--sheet", shots.sheet, cwd=shots.lab)
    assert done.returncode == 3
    assert sorted(line.partition(".png")[0][-1] for line in done.stderr.splitlines()) == ["a", "b"]


def test_a_photograph_of_another_sheet_names_it(shots: Shots, scene: TrialScene, tmp_path: Path):
    folder = tmp_path / "sheets"
    folder.mkdir()
    other = scene.sheet.model_copy(
        update={"id": "other-sheet", "tags": [tag.model_copy(update={"id": tag.id + 40}) for tag in scene.sheet.tags]}
    )
    for sheet in (scene.sheet, other):
        write_document(folder / f"{sheet.id}.json", sheet)
    found = ask("print", "verify", shots.photos[0], "--sheet", folder / "other-sheet.json", cwd=shots.lab, code=3)
    assert f"shows the sheet {shots.sheet}, not other-sheet" in found["errors"][0]["message"]
    alone = tmp_path / "other-sheet.json"
    write_document(alone, other)
    found = ask("print", "verify", shots.photos[0], "--sheet", alone, cwd=shots.lab, code=3)
    assert "its tags are 0, 1, 2, 3" in found["errors"][0]["message"]


def test_modes_and_turns_of_photographs_do_not_matter(shots: Shots, tmp_path: Path):
    """CMYK, 16 bits of gray, a camera that was held upright: the same print, the same scale."""
    first, second, third = (Image.open(path) for path in shots.photos)
    first.convert("CMYK").save(tmp_path / "1.tif")
    Image.fromarray(np.asarray(second.convert("L"), dtype=np.uint16) * 257).save(tmp_path / "2.png")
    turned = Image.Exif()
    turned[274] = 6
    third.save(tmp_path / "3.jpg", quality=95, exif=turned)
    found = data("print", "verify", tmp_path, *shots.by_board, "--out", tmp_path / "out", cwd=shots.lab)
    assert found["scale_x"] == pytest.approx(1, abs=0.002)
    assert found["scale_y"] == pytest.approx(1, abs=0.002)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--reference", "board.json"), "--reference and --reference-mm go together"),
        (("--reference", "board.json", "--reference-mm", "9.9x7.1"), "inches"),
        (("--reference", "board.json", "--reference-mm", "251.8"), "--reference-mm has '251.8'"),
        (("--reference", "board.json", "--reference-mm", "178.95x249.63"), "no printer stretches a board so"),
        (("--reference", "board.json", "--reference-mm", "213.97x143.16"), "no printer stretches a board so"),
        (("--ruler-mm", 10), "--ruler-mm says 10 mm, that of the sheet should have 100 mm"),
        (("--limit", "1"), "--limit is '1'"),
        (("--ruler-mm", 100, "--measured-sd-mm", 0), "--measured-sd-mm is 0"),
    ],
)
def test_wrong_words_are_exit_code_2(shots: Shots, words: tuple[object, ...], said: str):
    found = ask("print", "verify", shots.photos[0], "--sheet", shots.sheet, *words, cwd=shots.lab, code=2)
    assert said in found["errors"][0]["message"]


def test_an_unknown_sheet_names_the_known_ones(shots: Shots):
    found = ask("print", "verify", shots.photos[0], "--sheet", "stop-00000000", cwd=shots.lab, code=3)
    assert shots.sheet in found["errors"][0]["message"]


def test_print_and_its_command_live_side_by_side(shots: Shots):
    shown = dpcam("print", "--help", cwd=shots.lab).stdout
    assert "--to PRINTER" in shown
    assert "verify  Measure" in shown
    assert "--reference-mm" in dpcam("print", "verify", "--help", cwd=shots.lab).stdout
    assert data("print", "stop", "--dry-run", cwd=shots.lab)["id"].startswith("stop-")
    assert ask("print", "verify", cwd=shots.lab, code=2)["command"] == ["print", "verify"]
    assert "no arm or patch 'verify'" in dpcam("print", "--", "verify", cwd=shots.lab).stderr


def test_a_sticker_that_is_off_its_target_is_measured(scene: TrialScene):
    """The target is moved and turned behind the sheet; the sticker is off by the opposite."""
    moved = _displaced(scene, 0.8, -0.5, 3.0)
    photographs, ground = photograph_print(moved, (0.98, 0.98), np.random.default_rng(4))
    placed = _placement(scene, photographs, ground)
    assert (placed.x_mm.value, placed.y_mm.value) == pytest.approx((-0.8 * 0.98, 0.5 * 0.98), abs=0.15)
    assert placed.deg.value == pytest.approx(-3.0, abs=0.5)
    assert placed.mm.low <= np.hypot(0.8, 0.5) * 0.98 <= placed.mm.high


def _displaced(scene: TrialScene, right_mm: float, down_mm: float, turned_deg: float) -> TrialScene:
    target = scene.sheet.target
    with pypdfium2.PdfDocument(scene.folder / target.artwork) as document:
        page = document[0]
        width, height = page.get_size()
        turn = pypdfium2.PdfMatrix().translate(-width / 2, -height / 2).rotate(turned_deg)
        for each in page.get_objects():
            each.transform(turn.translate(width / 2, height / 2))
        page.gen_content()
        document.save(scene.folder / "turned.pdf")
    box = target.box.model_copy(update={"x_mm": target.box.x_mm + right_mm, "y_mm": target.box.y_mm + down_mm})
    changed = target.model_copy(update={"box": box, "artwork": "turned.pdf"})
    texture = scene.shop.sheet(scene.sheet.model_copy(update={"target": changed}), scene.folder)
    return TrialScene(scene.shop, scene.sheet, scene.folder, scene.board, texture, scene.board_texture)


def _placement(scene: TrialScene, photographs: list, ground: Ground) -> Placement:
    order = ProofOrder(scene.sheet, scene.folder, (), scene.shop.model, ground, None, 0.05)
    placement = prove_photographs(photographs, order).placement
    assert isinstance(placement, Placement)
    return placement
