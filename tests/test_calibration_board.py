"""The board: its document, what is printed, and finding it in rendered pictures."""

from __future__ import annotations

import numpy as np
import pytest
from drawing import draw_board, ideal_homography, see

from calibration.board import MARKERS, Board
from calibration.camera import CameraModel
from calibration.errors import BadConfig, BadInput
from calibration.files import parse_document
from calibration.geometry import View, pose_from_view
from calibration.sheet import PAPERS_MM

# 35 mm squares and 4 mm marker cells lie on the grid of the test renderer.
BOARD = Board(square_mm=35, marker_mm=28)
SIZE = (640, 480)
CAMERA = CameraModel(
    camera="known", width=640, height=480, fx=600, fy=603, cx=314, cy=236, distortion=(-0.2, 0.08, 0.001, -0.0008, 0.0)
)
VIEWS = [View(420), View(380, 30, 10, 5), View(400, -25, 20, -100), View(520, 5, -35, 180)]


def picture(view: View, board: Board = BOARD) -> tuple[np.ndarray, np.ndarray]:
    """A picture of the board and where its corners truly are."""
    center = np.array([board.width_mm / 2, board.height_mm / 2])
    pose = pose_from_view(view, center, np.array([0.05, 0.03, 1]))
    pixels = see(draw_board(board), ideal_homography(CAMERA, pose, 10), SIZE, camera=CAMERA, oversample=3)
    return pixels, CAMERA.project(pose.to_camera(board.corners_mm()))


TAGS = Board(pattern="apriltag", squares_x=6, squares_y=4, square_mm=40, marker_mm=30)
CHESS = Board(pattern="chessboard", squares_x=8, squares_y=6, square_mm=30)


@pytest.mark.parametrize("board", [BOARD, TAGS, CHESS], ids=lambda board: board.pattern)
@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_corners_are_where_they_are(view, board):
    pixels, truth = picture(view, board)
    found = board.find(pixels)
    if board is CHESS and np.linalg.norm(found.corners_px[0] - truth[-1]) < 1:
        truth = truth[::-1]  # a chessboard does not tell which way up it is
    errors = found.corners_px - truth[list(found.ids)]
    assert len(found.ids) >= 20
    assert (found.width, found.height) == SIZE
    assert np.abs(errors.mean(axis=0)).max() < 0.1, "pixel (0, 0) is the center of the top-left pixel"
    assert np.sqrt((errors**2).sum(axis=1).mean()) < 0.2
    np.testing.assert_allclose(found.corners_mm, board.corners_mm()[list(found.ids)])


def test_a_hidden_part_leaves_the_other_corners():
    pixels, truth = picture(VIEWS[0])
    pixels[:, :260] = 90
    found = BOARD.find(pixels)
    assert 6 <= len(found.ids) < BOARD.corners
    assert np.linalg.norm(found.corners_px - truth[list(found.ids)], axis=1).max() < 0.5


@pytest.mark.parametrize(
    "other",
    [Board(dictionary="DICT_4X4_50", square_mm=35, marker_mm=28), Board(squares_x=5, squares_y=7), TAGS],
    ids=str,
)
def test_another_board_is_not_taken_for_this_one(other):
    pixels, _ = picture(VIEWS[0], other)
    assert len(other.find(pixels).ids) >= 16
    assert len(BOARD.find(pixels).ids) < 8


def test_tags_of_other_numbers_are_not_of_this_board():
    pixels, _ = picture(VIEWS[0], TAGS)
    assert TAGS.model_copy(update={"first_tag": 300}).find(pixels).ids == ()
    later = TAGS.model_copy(update={"first_tag": 512}).find(pixels)
    assert len(later.ids) == 4 * 12, "the lower half of the printed board is the upper half of this one"


def test_a_chessboard_is_seen_whole_or_not_at_all():
    pixels, _ = picture(VIEWS[0], CHESS)
    pixels[:, :260] = 90
    assert CHESS.find(pixels).ids == ()


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 1, 3), (16, 16, 3), (9, 300, 3), (100, 100, 3)])
def test_a_picture_without_a_board_has_no_corners(shape):
    found = BOARD.find(np.zeros(shape, np.uint8))
    assert found.ids == ()
    assert found.corners_px.shape == found.corners_mm.shape == (0, 2)


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((50, 50), np.uint8), np.zeros((50, 50, 3)), np.zeros((50, 50, 4), np.uint8)],
    ids=["gray", "float", "rgba"],
)
def test_other_arrays_are_refused(pixels):
    with pytest.raises(BadInput, match="uint8 RGB"):
        BOARD.find(pixels)


def test_a_view_of_a_larger_array_is_read_as_it_is():
    pixels, _ = picture(VIEWS[0])
    mirrored = np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]
    assert BOARD.find(mirrored).ids == BOARD.find(pixels).ids


@pytest.mark.parametrize("board", [Board(), Board(squares_x=4, squares_y=6, dictionary="DICT_6X6_250")], ids=str)
def test_what_is_printed_black(board):
    boxes = board.black_boxes()
    squares = [box for box in boxes if box.width_mm == board.square_mm]
    assert len(squares) == board.squares_x * board.squares_y - board.markers
    assert not any(a.overlaps(b.grown(-1e-6)) for i, a in enumerate(boxes[:60]) for b in boxes[i + 1 : 60])
    corners = np.concatenate([box.corners_mm for box in boxes])
    assert corners.min() >= 0
    assert corners[:, 0].max() <= board.width_mm
    assert corners[:, 1].max() <= board.height_mm


def test_the_default_fits_on_common_paper():
    board = Board()
    for paper in ("A4", "Letter"):
        short, long = PAPERS_MM[paper]
        assert board.width_mm < long - 10
        assert board.height_mm < short - 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"marker_mm": 36}, "at most 22.5 mm"),
        ({"squares_x": 20, "squares_y": 20}, "needs 200 markers, DICT_5X5_50 has 50"),
        ({"squares_x": 2}, "squares_x"),
        ({"pattern": "apriltag", "first_tag": 570}, "needs 70 markers, tag36h11 from 570 on has 17"),
        ({"pattern": "apriltag", "marker_mm": 23}, "at most 22 mm"),
        ({"pattern": "dots"}, "pattern"),
        ({"square_mm": -1}, "square_mm"),
        ({"dictionary": "DICT_APRILTAG_36h11"}, "dictionary"),
        ({"color": "red"}, "color"),
    ],
)
def test_impossible_boards_are_refused(change, words):
    with pytest.raises(BadConfig, match=words):
        parse_document(Board().model_dump() | change, Board, where="board.json")


@pytest.mark.parametrize("name", MARKERS)
def test_every_dictionary_has_as_many_markers_as_we_say(name):
    import cv2

    table = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, name))
    assert len(table.bytesList) == MARKERS[name]
