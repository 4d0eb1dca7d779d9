"""Camera calibration as the program runs it: views from pictures, a camera or an older file in, camera file out."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from calibration.board import Board, BoardSighting
from calibration.calibrate import DISTANCES_MM, Calibration, calibrate_camera, usable_views
from calibration.camera import CameraModel
from calibration.coverage import coverage_of
from calibration.errors import BadInput, Interrupted, MissingFile
from calibration.evidence import evidence_of
from calibration.files import read_bytes, read_document, readable_name, write_bytes, write_document
from calibration.lens import Lens
from capture.binding import Setting, common_mode, mode_of
from capture.board_hunt import Hint, hunt_views
from capture.cameras.base import Camera
from capture.cameras.open import open_camera
from capture.cameras.sim_board import SimBoard
from capture.cameras.sim_options import parse_sim_uri
from capture.frame import Clock, Frame
from capture.picture import PICTURE_SUFFIXES, decode_picture, encode_png, reported_settings
from capture.stop import StopFlag
from patches.board_pdf import MARGIN_MM, board_pdf, page_size_mm
from pipeline.calibrating.coverage_figure import coverage_png

BOARD_FILE = "board.json"
CALIBRATION_FILE = "calibration.json"
COVERAGE_FILE = "coverage.png"


@dataclass(frozen=True, slots=True)
class BoardViews:
    """What pictures show of a board, by name, and the settings of the camera that they were all taken with."""

    camera: str
    board: Board
    sightings: Mapping[str, BoardSighting]
    settings: Mapping[str, Setting]


@dataclass(frozen=True, slots=True)
class CalibrationOrder:
    """``lens``: None lets the pictures choose. ``check``: a second set to compare with. ``out``: the camera file."""

    out: Path
    lens: Lens | None = None
    check: BoardViews | None = None
    distances_mm: Sequence[float] = DISTANCES_MM


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The calibration, its camera model as written, and where the picture of its coverage is."""

    calibration: Calibration
    model: CameraModel
    coverage: Path


def board_in(folder: Path, path: Path | None) -> Board:
    """The board of ``path``, else the one that was made in ``folder``, else dpcam's default board."""
    if path is None and not (folder / BOARD_FILE).is_file():
        return Board()
    return read_document(path or folder / BOARD_FILE, Board)


def calibrate(views: BoardViews, order: CalibrationOrder) -> Calibrated:
    """Calibrate, and write camera file and coverage; a refused set leaves the coverage, to see what it lacks."""
    picture = order.out.with_name(COVERAGE_FILE)
    if order.check:
        common_mode({"the first set": views.settings, "the second set": order.check.settings})
    try:
        found = calibrate_camera(
            views.sightings,
            camera=views.camera,
            lens=order.lens,
            check=order.check.sightings if order.check else None,
            distances_mm=order.distances_mm,
        )
    except BadInput:
        _draw_refused(views.sightings, picture)
        raise
    used = [views.sightings[name] for name in found.used]
    write_bytes(picture, coverage_png(used, found.coverage, found.confidence, max(order.distances_mm)))
    evidence = evidence_of(views.board, views.sightings)
    model = found.model.model_copy(update={"settings": dict(views.settings), "evidence": evidence})
    write_document(order.out, model)
    return Calibrated(found, model, picture)


def views_in_pictures(paths: Sequence[Path], board: Board, camera: str) -> BoardViews:
    """What picture files and folders of pictures show of the board.

    :class:`MissingFile`, :class:`calibration.errors.BadImage`, and :class:`BadInput` for pictures that say that they
    were taken by different cameras or at different focal lengths.
    """
    sightings, modes = dict[str, BoardSighting](), dict[str, Mapping[str, Setting]]()
    for path in picture_files(paths):
        name, data = readable_name(str(path)), read_bytes(path)
        sightings[name] = board.find(decode_picture(data, name))
        if sightings[name].ids:
            modes[name] = mode_of(reported_settings(data))
    return BoardViews(camera, board, sightings, common_mode(modes))


def views_before_camera(
    uri: str,
    board: Board,
    folder: Path,
    *,
    most: int,
    seconds: float,
    tell: Callable[[Hint], None],
    stop: StopFlag,
    clock: Clock,
) -> BoardViews:
    """Watch the board before the camera at ``uri``; pictures that count are kept in a new folder in ``folder``.

    :class:`Interrupted` when somebody wants the end: the pictures that were kept can be calibrated from.
    :class:`BadInput` when none was kept.
    """
    kept = folder / f"pictures-{datetime.fromtimestamp(clock.wall_ns() / 1e9, UTC):%Y%m%dT%H%M%SZ}"

    def keep(number: int, frame: Frame) -> str:
        path = kept / f"{number:03d}{frame.suffix if frame.encoded else '.png'}"
        write_bytes(path, frame.encoded or encode_png(frame.pixels))
        return str(path)

    def show(hint: Hint) -> None:
        if not hint.reason:
            _draw(list(hint.views.values()), folder / COVERAGE_FILE)
        tell(hint)

    with _open(uri, board, folder, clock) as camera:
        hunt = hunt_views(camera, board, keep=keep, tell=show, clock=clock, most=most, seconds=seconds, stop=stop)
        if hunt.interrupted:
            hint = f"dpcam calibrate camera {kept} calibrates from what was kept" if hunt.views else ""
            raise Interrupted(f"interrupted after {len(hunt.views)} views of the board", hint=hint, where=str(kept))
        if not hunt.views:
            raise BadInput(
                f"the camera {camera.identity} showed no view of the board that counts, in {seconds:g} s or all its "
                "pictures",
                hint="hold the whole board still before it; the board file must describe the board that was printed",
                where=camera.identity,
            )
        return BoardViews(camera.identity, board, hunt.views, common_mode(hunt.modes))


def _open(uri: str, board: Board, folder: Path, clock: Clock) -> Camera:
    """The camera at ``uri``; before a simulated one somebody holds the board, printed on a page of its own."""
    if not uri.startswith("sim:"):
        return open_camera(uri, sheet_folder=folder, clock=clock)
    width_mm, height_mm = (math.ceil(side + 2 * MARGIN_MM) for side in (board.width_mm, board.height_mm))
    paper = f"{width_mm}x{height_mm}"
    with tempfile.TemporaryDirectory() as drawer:
        pdf = Path(drawer) / "board.pdf"
        write_bytes(pdf, board_pdf(board, paper))
        return SimBoard(parse_sim_uri(uri), pdf, page_size_mm(board, paper), clock)


def views_of_file(path: Path) -> BoardViews:
    """What an older camera file was made from; :class:`BadInput` when it does not say."""
    model = read_document(path, CameraModel)
    if model.evidence is None:
        raise BadInput(
            f"{path} does not keep what it was made from, so it cannot be refitted",
            hint="calibrate from the pictures once more; the file then keeps the corners",
            where=str(path),
        )
    sightings = model.evidence.sightings(model.width, model.height)
    return BoardViews(model.camera, model.evidence.board, sightings, model.settings)


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """Files as named, folders as the pictures in them by name; each once. :class:`MissingFile` when there is none."""
    files = dict.fromkeys(file for path in paths for file in _files_of(path))
    return list(files)


def _files_of(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise MissingFile(f"there is no picture or folder {path}", where=str(path))
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES)
    if not found:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        raise MissingFile(f"the folder {path} holds no pictures, accepted are {kinds}", where=str(path))
    return found


def _draw_refused(sightings: Mapping[str, BoardSighting], path: Path) -> None:
    """The coverage of what can be used of a refused set, if there is anything to draw."""
    views = list(usable_views(sightings)[0].values())
    if views and len({(view.width, view.height) for view in views}) == 1:
        _draw(views, path)


def _draw(views: Sequence[BoardSighting], path: Path) -> None:
    coverage = coverage_of(views, views[0].width, views[0].height)
    write_bytes(path, coverage_png(views, coverage))
