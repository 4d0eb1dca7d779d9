"""The simulated lab: its ground truth is proved by an AprilTag detector that knows nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from reportlab.pdfgen.canvas import Canvas

from calibration.errors import BadInput, BadUsage, MissingFile
from calibration.geometry import Box, Pose, View, apply_homography, pose_from_view, view_from_pose
from calibration.region import Sticker, region_of
from calibration.sheet import Sheet, Tag, Target
from calibration.tags import detect, tag_bits, to_gray
from capture.cameras.base import StagedCamera
from capture.cameras.sim import SimCamera, SimOptions, parse_sim_uri
from capture.cameras.sim_optics import Eye, compose
from capture.cameras.sim_paper import build_plane
from capture.cameras.sim_print import printed
from capture.cameras.sim_scenery import LIGHTS
from capture.frame import Frame
from capture.plan import Condition, Shot

POINTS_PER_MM = 72 / 25.4
WIDTH_MM, HEIGHT_MM, TAG_MM = 210.0, 210.0, 40.0
FRAME = Box(x_mm=55, y_mm=55, width_mm=100, height_mm=100)
INNER = FRAME.grown(-14)
BOARD_GRAY = 120


def _rectangle(canvas: Canvas, box: Box, height_mm: float, color: tuple[float, float, float]) -> None:
    canvas.setFillColorRGB(*color)
    bottom = height_mm - box.y_mm - box.height_mm
    size = (box.x_mm, bottom, box.width_mm, box.height_mm)
    canvas.rect(*(side * POINTS_PER_MM for side in size), stroke=0, fill=1)


def _tag(canvas: Canvas, tag: Tag, height_mm: float) -> None:
    """Black square and white cells as one path: upright rectangles of their own are moved to whole pixels."""
    cell, left, top = tag.square.width_mm / 8, tag.square.x_mm, tag.square.y_mm
    boxes = [tag.square]
    for row, column in np.argwhere(tag_bits(tag.id)[1:-1, 1:-1]):
        boxes.append(
            Box(x_mm=left + column * cell, y_mm=top + row * cell, width_mm=cell, height_mm=cell),
        )
    path = canvas.beginPath()
    for box in boxes:
        corners = (box.corners_mm * [1, -1] + [0, height_mm]) * POINTS_PER_MM
        path.moveTo(*corners[0])
        for corner in corners[1:]:
            path.lineTo(*corner)
        path.close()
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(path, stroke=0, fill=1, fillMode=0)


def draw_sheet(folder: Path, *, name: str = "sheet-a", arm: str = "noise") -> Sheet:
    """A 210 mm square sheet with a tag in every corner and a red disk as target, with both of its PDFs."""
    far = WIDTH_MM - TAG_MM - 8
    places = [(8, 8), (far, 8), (far, far), (8, far)]
    sheet = Sheet(
        id=name,
        arm=arm,
        paper="A4",
        width_mm=WIDTH_MM,
        height_mm=HEIGHT_MM,
        target=Target(label="disk", outline="circle", box=INNER.grown(-1), artwork="target.pdf"),
        frame=FRAME,
        inner=INNER,
        window=FRAME if arm == "bare" else INNER,
        tags=[
            Tag(id=i, square=Box(x_mm=x, y_mm=y, width_mm=TAG_MM, height_mm=TAG_MM))
            for i, (x, y) in zip((3, 14, 159, 265), places, strict=True)
        ],
        ruler=Box(x_mm=60, y_mm=200, width_mm=80, height_mm=5),
        pdf=f"{name}.pdf",
    )
    page = Canvas(str(folder / sheet.pdf), pagesize=(WIDTH_MM * POINTS_PER_MM, HEIGHT_MM * POINTS_PER_MM))
    for tag in sheet.tags:
        _tag(page, tag, HEIGHT_MM)
    if arm != "bare":
        _rectangle(page, FRAME, HEIGHT_MM, (0.1, 0.3, 0.8))
    page.save()
    side = sheet.target.box.width_mm * POINTS_PER_MM
    art = Canvas(str(folder / "target.pdf"), pagesize=(side, side))
    art.setFillColorRGB(0.8, 0.05, 0.1)
    art.circle(side / 2, side / 2, side / 2, stroke=0, fill=1)
    art.save()
    return sheet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sheets")


@pytest.fixture(scope="module")
def sheet(folder: Path) -> Sheet:
    return draw_sheet(folder)


@pytest.fixture(scope="module")
def camera(folder: Path) -> SimCamera:
    return SimCamera(SimOptions(seed=5), folder)


def a_shot(sheet: Sheet, *, index: int = 0, repeat: int = 0, **condition: object) -> Shot:
    asked = Condition.model_validate({"distance_mm": 800, **condition})
    return Shot(index=index, arm=sheet.arm, sheet=sheet.id, condition=asked, repeat=repeat)


def take(camera: SimCamera, sheet: Sheet, **asked: object) -> Frame:
    camera.stage(a_shot(sheet, **asked), sheet)
    return camera.read()


def corner_errors(frame: Frame) -> dict[int, np.ndarray]:
    """Detected minus true corners ``(4, 2)`` by tag, of the tags that are wholly in the frame."""
    height, width = frame.pixels.shape[:2]
    true = {int(tag): np.array(corners) for tag, corners in frame.truth["tag_corners_px"].items()}
    whole = {k for k, c in true.items() if (c > 3).all() and (c < [width - 4, height - 4]).all()}
    seen = {tag.id: tag.corners for tag in detect(to_gray(frame.pixels))}
    assert whole <= set(seen), f"not found: {whole - set(seen)}"
    return {tag: seen[tag] - true[tag] for tag in whole}


SHARP = [
    {"distance_mm": 500},
    {"distance_mm": 900},
    {"distance_mm": 1500},
    {"distance_mm": 700, "yaw_deg": 35},
    {"distance_mm": 700, "yaw_deg": -60},
    {"distance_mm": 700, "pitch_deg": 45, "roll_deg": 12},
    {"distance_mm": 800, "yaw_deg": 20, "pitch_deg": -25, "roll_deg": -140},
    {"distance_mm": 1000, "roll_deg": 90},
]


def test_ground_truth_is_where_a_detector_finds_the_tags(camera: SimCamera, sheet: Sheet) -> None:
    errors = []
    for condition in SHARP:
        frames = [take(camera, sheet, repeat=repeat, **condition) for repeat in range(2)]
        found = np.concatenate([error for frame in frames for error in corner_errors(frame).values()])
        assert np.median(np.linalg.norm(found, axis=1)) < 0.1, condition
        errors.append(found)
    bias = np.concatenate(errors).mean(axis=0)
    assert np.abs(bias).max() < 0.015
    assert np.median(np.linalg.norm(np.concatenate(errors), axis=1)) < 0.05


def test_truth_is_consistent_with_itself(camera: SimCamera, sheet: Sheet) -> None:
    truth = take(camera, sheet, yaw_deg=30, pitch_deg=10, roll_deg=5).truth
    assert json.loads(json.dumps(truth)) == truth
    pose = Pose(np.array(truth["rotation"]), np.array(truth["translation_mm"]))
    seen = view_from_pose(pose, sheet.target.box.center_mm)
    assert (seen.distance_mm, seen.yaw_deg) == pytest.approx((truth["view"]["distance_mm"], truth["view"]["yaw_deg"]))
    ideal = apply_homography(np.array(truth["H_image_sheet"]), sheet.frame.corners_mm)
    np.testing.assert_allclose(camera.model.distort(ideal), truth["frame_corners_px"], atol=1e-6)
    assert truth["sheet"] == sheet.id
    assert set(truth["tag_corners_px"]) == {str(tag) for tag in sheet.tag_ids}


def test_the_rig_is_near_what_was_asked_and_never_quite_there(camera: SimCamera, sheet: Sheet) -> None:
    views = [take(camera, sheet, yaw_deg=30, repeat=i).truth["view"] for i in range(3)]
    assert len({view["distance_mm"] for view in views}) == 3
    assert all(abs(view["distance_mm"] / 800 - 1) <= 0.01 for view in views)
    assert all(abs(view["yaw_deg"] - 30) <= 0.5 for view in views)


def test_a_perfect_rig_puts_the_target_into_the_middle(folder: Path, sheet: Sheet) -> None:
    camera = SimCamera(SimOptions(rig=0, k1=0, k2=0, p1=0, p2=0), folder)
    truth = take(camera, sheet, yaw_deg=20).truth
    assert truth["view"] == {"distance_mm": 800, "yaw_deg": 20, "pitch_deg": 0, "roll_deg": 0}
    middle = apply_homography(np.array(truth["H_image_sheet"]), sheet.target.box.center_mm[None])[0]
    np.testing.assert_allclose(middle, [camera.model.cx, camera.model.cy], atol=1e-6)


def _drawn(camera_options: SimOptions, folder: Path, sheet: Sheet, view: View) -> np.ndarray:
    """The plane alone on gray: no blur, no light, no noise."""
    model = camera_options.camera_model()
    plane = build_plane(sheet, folder, _plain_board, 8.0, ink=1.0)
    frame = np.full((model.height, model.width, 3), 90, np.uint8)
    seen = Eye(model).look(plane, pose_from_view(view, sheet.target.box.center_mm))
    assert seen is not None
    compose(frame, seen)
    return frame


def _plain_board(height: int, width: int, _: float) -> np.ndarray:
    return np.full((height, width, 3), BOARD_GRAY, np.uint8)


@pytest.mark.parametrize(
    "view",
    [View(5000), View(1200, yaw_deg=70), View(2500, yaw_deg=50, pitch_deg=30, roll_deg=25), View(600)],
    ids=["5 m", "yaw 70", "oblique", "near"],
)
def test_a_frame_is_the_average_of_a_finer_one(folder: Path, sheet: Sheet, view: View) -> None:
    small = SimOptions(width=320, height=240, fov_deg=40)
    large = SimOptions(width=320 * 6, height=240 * 6, fov_deg=40)
    frame = _drawn(small, folder, sheet, view).astype(float)
    fine = _drawn(large, folder, sheet, view)
    exact = cv2.resize(fine, (320, 240), interpolation=cv2.INTER_AREA).astype(float)
    touched = (exact != 90).any(axis=2)
    assert np.abs(frame - exact)[touched].mean() < 2.5
    # An alias would show as error of large patches; the pixel grid's own softness does not survive averaging.
    smooth = cv2.blur(frame, (5, 5)) - cv2.blur(exact, (5, 5))
    assert np.abs(smooth).max() < 5


def test_window_target_and_paper_are_where_the_sheet_says(folder: Path, sheet: Sheet) -> None:
    bare = draw_sheet(folder, name="sheet-bare", arm="bare")
    spots = np.array([[105.0, 105.0], [73.0, 73.0], [58.0, 105.0], [105.0, 30.0]])
    for which, ring in ((sheet, printed_color(26, 77, 204)), (bare, (BOARD_GRAY,) * 3)):
        plane = build_plane(which, folder, _plain_board, 6.0, ink=1.0)
        texels = np.rint(apply_homography(plane.texel_from_mm, spots)).astype(int)
        center, corner, frame, paper = (plane.level(0, 0)[y, x, :3].astype(int) for x, y in texels)
        np.testing.assert_allclose(center, printed_color(204, 13, 26), atol=3)
        np.testing.assert_allclose(corner, (BOARD_GRAY,) * 3, atol=2)
        np.testing.assert_allclose(frame, ring, atol=3)
        np.testing.assert_allclose(paper, printed_color(255, 255, 255), atol=1)


def printed_color(*nominal: int) -> np.ndarray:
    return printed(np.array([[nominal]], np.uint8), 1.0)[0, 0].astype(int)


def test_print_response_lifts_black_and_dims_white() -> None:
    ramp = np.repeat(np.arange(0, 256, 5, dtype=np.uint8)[None, :, None], 3, axis=2)
    seen = printed(ramp, 1.0)[0].astype(int)
    assert seen[0].min() > 5
    assert 190 < seen[-1].min() < 225
    assert (np.diff(seen, axis=0) >= 0).all()
    np.testing.assert_array_equal(printed(ramp, 0.0), ramp)


def test_same_shot_same_bytes_whatever_came_before(folder: Path, sheet: Sheet) -> None:
    options = SimOptions(width=320, height=240, seed=9)
    first, second = SimCamera(options, folder), SimCamera(options, folder)
    here = {"yaw_deg": 20, "light": "shadow"}
    straight = [take(first, sheet, index=0, **here), first.read()]
    take(second, sheet, index=0, distance_mm=500)
    again = [take(second, sheet, index=7, **here), second.read()]
    for one, other in zip(straight, again, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert one.truth == other.truth
    assert (straight[0].pixels != straight[1].pixels).any()
    assert (take(first, sheet, repeat=1, **here).pixels != straight[0].pixels).any()
    assert (take(SimCamera(SimOptions(width=320, height=240), folder), sheet).pixels != straight[0].pixels).any()


def test_the_lens_bends_straight_lines(folder: Path, sheet: Sheet) -> None:
    options = SimOptions(rig=0, k1=-0.2, k2=0, noise=0)
    camera = SimCamera(options, folder)
    truth = take(camera, sheet, distance_mm=330).truth
    seen = np.array(list(truth["tag_corners_px"].values()))
    ideal = np.array([apply_homography(np.array(truth["H_image_sheet"]), c) for c in sheet.tag_corners_mm().values()])
    assert np.linalg.norm(seen - ideal, axis=2).max() > 10
    found = np.concatenate(list(corner_errors(take(camera, sheet, distance_mm=560)).values()))
    assert np.median(np.linalg.norm(found, axis=1)) < 0.06


@pytest.mark.parametrize("light", LIGHTS)
def test_every_light_shows_the_sheet(camera: SimCamera, sheet: Sheet, light: str) -> None:
    frame = take(camera, sheet, distance_mm=600, light=light)
    assert {"simulated": True, "light": light}.items() <= dict(frame.settings).items()
    assert frame.settings["exposure_ms"] > 0
    assert frame.settings["gain"] >= 1
    assert len(corner_errors(frame)) == 4


def test_lights_differ_as_their_names_say(camera: SimCamera, sheet: Sheet) -> None:
    means = {light: take(camera, sheet, light=light).pixels.mean(axis=(0, 1)) for light in LIGHTS}
    brightness = {light: mean.mean() for light, mean in means.items()}
    assert brightness["dim"] < 0.75 * brightness["day"] < brightness["day"] < brightness["bright"]
    assert means["warm"][0] / means["warm"][2] > 1.2 * means["day"][0] / means["day"][2]


def test_blur_softens_and_does_not_move(camera: SimCamera, sheet: Sheet) -> None:
    sharp = take(camera, sheet)
    for extra in ({"defocus_px": 2.5}, {"motion_px": 5.0, "motion_deg": 30.0}):
        soft = take(camera, sheet, extra=extra)
        assert _sharpness(soft) < 0.7 * _sharpness(sharp)
        errors = np.concatenate(list(corner_errors(soft).values()))
        assert np.abs(errors.mean(axis=0)).max() < 0.1


def _sharpness(frame: Frame) -> float:
    return float(np.abs(cv2.Laplacian(to_gray(frame.pixels)[200:500, 400:900], cv2.CV_32F, ksize=3)).mean())


def test_noise_can_be_switched_off(folder: Path, sheet: Sheet) -> None:
    camera = SimCamera(SimOptions(width=320, height=240, noise=0), folder)
    np.testing.assert_array_equal(take(camera, sheet).pixels, camera.read().pixels)


def test_noise_is_stronger_in_the_dark(folder: Path, sheet: Sheet) -> None:
    camera = SimCamera(SimOptions(width=320, height=240), folder)
    spread = {}
    for light in ("day", "dim"):
        frames = [take(camera, sheet, light=light), *(camera.read() for _ in range(7))]
        spread[light] = np.stack([frame.pixels for frame in frames]).std(axis=0).mean()
    assert 0.5 < spread["day"] < 3
    assert spread["dim"] > 2 * spread["day"]


def test_jpeg_frames_carry_their_own_bytes(folder: Path, sheet: Sheet) -> None:
    frame = take(SimCamera(SimOptions(width=320, height=240, jpeg=80), folder), sheet)
    assert frame.suffix == ".jpg"
    decoded = cv2.imdecode(np.frombuffer(frame.encoded, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(decoded, frame.pixels)


def test_without_a_sheet_there_is_background(folder: Path, sheet: Sheet) -> None:
    camera = SimCamera(SimOptions(width=400, height=300), folder)
    assert isinstance(camera, StagedCamera)
    unstaged = camera.read()
    assert unstaged.pixels.shape == (300, 400, 3)
    assert unstaged.truth is None
    camera.stage(a_shot(sheet), None)
    assert camera.read().truth is None
    assert detect(to_gray(camera.read().pixels)) == []


def test_clutter_can_be_taken_away(folder: Path) -> None:
    plain = SimCamera(SimOptions(width=320, height=240, clutter=0, noise=0), folder).read().pixels
    busy = SimCamera(SimOptions(width=320, height=240, noise=0), folder).read().pixels
    assert plain.std() < 8 < 20 < busy.std()


def test_a_sheet_beside_the_frame_is_not_seen(folder: Path, sheet: Sheet) -> None:
    model = SimOptions().camera_model()
    plane = build_plane(sheet, folder, _plain_board, 4.0, ink=1.0)
    aside = pose_from_view(View(1000), sheet.target.box.center_mm, np.array([3.0, 0.0, 1.0]))
    assert Eye(model).look(plane, aside) is None


def test_model_and_identity(camera: SimCamera) -> None:
    assert camera.identity == "sim:lab?seed=5"
    assert camera.model.source == "factory"
    assert camera.model.distortion[0] == SimOptions().k1


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sim:", SimOptions()),
        ("sim:lab", SimOptions()),
        ("sim:rig2?width=640&height=480", SimOptions(name="rig2", width=640, height=480)),
        ("sim:?jpeg=90&noise=2.5&k1=-0.05&seed=7", SimOptions(jpeg=90, noise=2.5, k1=-0.05, seed=7)),
    ],
)
def test_uri_says_the_options_and_back(uri: str, expected: SimOptions) -> None:
    assert parse_sim_uri(uri) == expected
    assert parse_sim_uri(expected.uri) == expected


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sim:lab?widht=640", ["widht", "width", "height"]),
        ("sim:lab?width=6.5", ["width", "6.5", "whole number"]),
        ("sim:lab?noise=much", ["noise", "much", "number"]),
        ("sim:lab?width=1", ["width", "1", "64"]),
        ("sim:lab?fov_deg=nan", ["fov_deg", "nan"]),
        ("sim:lab?seed=", ["seed", "whole number"]),
        ("sim:lab?fov_deg=110&k1=-0.3", ["k1", "-0.3", "fov_deg"]),
        ("sim:a b", ["sim:a b"]),
        ("cam:lab", ["cam:lab"]),
    ],
)
def test_bad_uris_are_refused_by_name(uri: str, words: list[str]) -> None:
    with pytest.raises(BadUsage) as caught:
        parse_sim_uri(uri)
    assert all(word in caught.value.message for word in words)


def test_unknown_option_names_its_neighbour() -> None:
    with pytest.raises(BadUsage) as caught:
        parse_sim_uri("sim:lab?widht=640")
    assert "'width'" in caught.value.hint


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"light": "dimm"}, ["dimm", "day", "backlit"]),
        ({"extra": {"defocus": 2.0}}, ["defocus", "defocus_px", "motion_px"]),
        ({"extra": {"defocus_px": -1.0}}, ["defocus_px", "-1"]),
        ({"extra": {"motion_px": "fast"}}, ["motion_px", "fast"]),
        ({"distance_mm": 60, "yaw_deg": 80}, ["distance_mm=60", "yaw_deg=80"]),
    ],
)
def test_what_cannot_be_staged_is_refused(
    camera: SimCamera, sheet: Sheet, condition: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        camera.stage(a_shot(sheet, **condition), sheet)
    assert all(word in caught.value.message for word in words)


def test_missing_and_wrong_pdfs_are_named(camera: SimCamera, folder: Path, sheet: Sheet) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    cases = [("gone.pdf", MissingFile), ("broken.pdf", BadInput), ("target.pdf", BadInput)]
    for pdf, kind in cases:
        wrong = sheet.model_copy(update={"pdf": pdf})
        with pytest.raises(kind, match=pdf):
            camera.stage(a_shot(wrong), wrong)


# Windows that are no boxes


def octagon(center: np.ndarray, apothem: float, *, hole: bool = False) -> np.ndarray:
    angles = np.deg2rad(22.5 + 45 * np.arange(8))[:: -1 if hole else 1]
    return center + apothem / np.cos(np.pi / 8) * np.column_stack([np.cos(angles), np.sin(angles)])


@pytest.fixture(scope="module")
def cut(sheet: Sheet) -> Sheet:
    """The sheet with an octagonal window with a bar across, and the ring between window and frame printed."""
    middle = FRAME.center_mm
    bar = middle + np.array([[-4, -10], [-4, 10], [4, 10], [4, -10]])
    sticker = Sticker(
        printed=region_of([FRAME.corners_mm, octagon(middle, 40, hole=True)]),
        window=region_of([octagon(middle, 40), bar]),
    )
    return sheet.model_copy(update={"sticker": sticker, "window": sticker.window.box})


def seen_at(pixels: np.ndarray, to_texel: np.ndarray, points_mm: list[tuple[float, float]]) -> np.ndarray:
    x, y = apply_homography(to_texel, np.array(points_mm)).round().astype(int).T
    return pixels[y, x].astype(int)


def test_a_window_is_cut_along_its_polygon(folder: Path, cut: Sheet):
    plane = build_plane(cut, folder, gray_board, 6, ink=0)
    x, y = FRAME.center_mm
    open_places = [(x - 37, y - 5), (x + 37, y), (x - 15, y + 37), (x + 8, y), (x, y + 14)]
    covered = [(x - 36, y - 36), (x + 36, y + 36), (x, y), (x + 2, y - 8), (x - 44, y)]
    red, blue = np.array([204, 13, 26]), np.array([26, 76, 204])
    target = seen_at(plane.level(0, 0)[..., :3], plane.texel_from_mm, [open_places[3], open_places[4]])
    assert np.abs(target - red).max() < 6
    board = seen_at(plane.level(0, 0)[..., :3], plane.texel_from_mm, open_places[:3])
    assert (np.ptp(board, axis=1) <= 2).all()
    paper = seen_at(plane.level(0, 0)[..., :3], plane.texel_from_mm, covered)
    assert np.abs(paper - blue).max() < 6


def test_a_cut_window_has_its_area(folder: Path, cut: Sheet):
    plane = build_plane(cut, folder, gray_board, 6, ink=0)
    low, high = apply_homography(plane.texel_from_mm, FRAME.corners_mm[[0, 2]]).round().astype(int)
    inside = plane.level(0, 0)[low[1] : high[1], low[0] : high[0], :3].astype(int)
    paper = np.clip((inside[..., 2] - inside[..., 0]) / (204 - 26), 0, 1)
    share = 1 - cut.sticker.window.area_mm2 / FRAME.width_mm**2
    assert paper.mean() == pytest.approx(share, abs=0.005)


def test_a_cut_sheet_is_found_like_any_other(camera: SimCamera, cut: Sheet):
    frame = take(camera, cut, distance_mm=700, yaw_deg=30)
    errors = corner_errors(frame)
    assert len(errors) == 4
    assert np.abs(np.concatenate(list(errors.values()))).mean() < 0.5


def gray_board(height: int, width: int, texels_per_mm: float) -> np.ndarray:
    return np.full((height, width, 3), BOARD_GRAY, np.uint8)
