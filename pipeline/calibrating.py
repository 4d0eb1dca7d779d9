"""Camera calibration from files: pictures in, camera model out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from calibration.board import Board
from calibration.calibrate import Calibration, calibrate_camera
from calibration.errors import MissingFile
from calibration.files import read_bytes, read_document
from capture.picture import PICTURE_SUFFIXES, decode_picture

BOARD_FILE = "board.json"
CALIBRATION_FILE = "calibration.json"


def board_in(folder: Path, path: Path | None) -> Board:
    """The board of ``path``, else the one that was made in ``folder``, else dpcam's default board."""
    if path is None and not (folder / BOARD_FILE).is_file():
        return Board()
    return read_document(path or folder / BOARD_FILE, Board)


def calibrate_from_pictures(paths: Sequence[Path], board: Board, camera: str) -> Calibration:
    """Calibrate ``camera`` from picture files and folders of pictures.

    :class:`MissingFile`, :class:`calibration.errors.BadImage` and :class:`calibration.errors.BadInput` as they come.
    """
    files = picture_files(paths)
    sightings = {str(path): board.find(decode_picture(read_bytes(path), str(path))) for path in files}
    return calibrate_camera(sightings, camera=camera)


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
