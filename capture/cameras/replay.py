"""Cameras that show what was taken before: a folder of pictures, the frames of an old session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from calibration.camera import CameraModel
from calibration.errors import BadInput, CameraGone, MissingFile
from calibration.files import read_bytes, read_document, read_json, readable_name
from calibration.sheet import Sheet
from capture.frame import Clock, Frame
from capture.picture import PICTURE_SUFFIXES, decode_kept, reported_settings
from capture.plan import Shot
from capture.session import FrameRecord, Session, read_session


def pictures_in(folder: Path) -> list[Path]:
    """The pictures directly in ``folder``, by name; hidden files and other kinds are no pictures.

    :class:`MissingFile` when there is no such folder, or no picture in it.
    """
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    except OSError as error:
        raise MissingFile(f"cannot read the folder {folder}: {error.strerror}", where=str(folder)) from error
    pictures = [path for path in names if not path.name.startswith(".") and path.is_file()]
    if not pictures:
        kinds = ", ".join(sorted(PICTURE_SUFFIXES))
        raise MissingFile(f"there is no picture in {folder}; names that count end in {kinds}", where=str(folder))
    return pictures


def _frame(
    path: Path, clock: Clock, settings: Mapping[str, str | int | float], truth: Any = None, stored: str = ""
) -> Frame:
    """``stored``: the suffix of a file that a session stored, whose bytes are kept whatever they are."""
    data = read_bytes(path)
    pixels, suffix = decode_kept(data, readable_name(str(path)))
    suffix = suffix or stored
    return Frame(
        pixels=pixels,
        t_mono_ns=clock.mono_ns(),
        t_wall_ns=clock.wall_ns(),
        encoded=data if suffix else b"",
        suffix=suffix or ".png",
        settings={**reported_settings(data), **settings},
        truth=truth,
    )


class FolderCamera:
    """Pictures from files, each once, in the given order. JPEG and PNG keep their bytes; pixels are upright.

    A file that cannot be decoded raises :class:`calibration.errors.BadImage` in its turn; the next call goes on.
    """

    def __init__(self, identity: str, pictures: Sequence[Path], clock: Clock) -> None:
        self._identity = identity
        self._pictures = list(pictures)
        self._clock = clock
        self._given = 0

    @property
    def identity(self) -> str:
        """``folder:`` and the path."""
        return self._identity

    @property
    def model(self) -> CameraModel | None:
        """None: files do not say their intrinsics."""
        return None

    @property
    def remaining(self) -> int:
        """How many files are still to come."""
        return len(self._pictures) - self._given

    def __enter__(self) -> FolderCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> Frame:
        """The next file; its name is in the settings."""
        if not self.remaining:
            raise CameraGone(f"{self._identity} has no more pictures", where=self._identity)
        path = self._pictures[self._given]
        self._given += 1
        return _frame(path, self._clock, {"file": readable_name(path.name)})

    def close(self) -> None:
        """Nothing is held open."""


class SessionCamera:
    """The frames of an old session, with their settings and ground truth; of several cameras those of the first.

    Without a plan they come in their order. Under a plan, :meth:`stage` chooses the frame of the shot, so that the
    old session stands in for the rig and the camera.
    """

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock
        self._frames = [frame for frame in session.frames if frame.camera == session.header.camera_folder]
        self._by_shot = {frame.shot.index: i for i, frame in enumerate(self._frames) if frame.shot}
        self._next = 0

    @property
    def identity(self) -> str:
        """``session:`` and the name of the session."""
        return f"session:{self._session.header.id}"

    @property
    def model(self) -> CameraModel | None:
        """The camera model that the session carries among its inputs."""
        paths = self._session.inputs("camera")
        names = ("camera", self._session.header.camera_folder)
        return next((read_document(path, CameraModel) for path in paths if path.stem in names), None)

    @property
    def remaining(self) -> int:
        """How many frames are still to come."""
        return len(self._frames) - self._next

    def __enter__(self) -> SessionCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def stage(self, shot: Shot, sheet: Sheet) -> None:
        """Go to the frame of ``shot``; :class:`BadInput` when the session has none, or one of another shot."""
        at = self._by_shot.get(shot.index)
        then = None if at is None else self._frames[at].shot
        if at is None or then is None:
            raise BadInput(f"the session {self._session.header.id} has no frame of shot {shot.index}")
        if (then.arm, then.condition) != (shot.arm, shot.condition):
            raise BadInput(f"shot {shot.index} was {then.arm!r} in {self._session.header.id}, not {shot.arm!r}")
        self._next = at

    def read(self) -> Frame:
        """The next frame; the settings say also when it was first taken."""
        if not self.remaining:
            raise CameraGone(f"{self.identity} has no more frames", where=self.identity)
        record = self._frames[self._next]
        self._next += 1
        settings = {**record.settings, "replayed": str(record.path.name), "first_t_wall_ns": record.t_wall_ns}
        return _frame(record.path, self._clock, settings, _truth(record), record.path.suffix)

    def close(self) -> None:
        """Nothing is held open."""


def _truth(record: FrameRecord) -> Any:
    return None if record.truth is None else read_json(record.truth)


def open_folder(path: Path, clock: Clock) -> FolderCamera | SessionCamera:
    """A folder of pictures, or a session folder, by what is in it."""
    if (path / "session.json").is_file():
        return SessionCamera(read_session(path), clock)
    return FolderCamera(f"folder:{path.resolve()}", pictures_in(path), clock)
