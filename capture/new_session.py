"""How a session begins: its folder with header, inputs and the first line of the journal, all at once."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from calibration.files import (
    not_writable,
    read_bytes,
    read_document,
    sha256_bytes,
    sync_folder,
    write_bytes,
    write_document,
)
from calibration.sheet import Sheet
from capture.frame import Clock
from capture.journal import StartEvent
from capture.session import HEADER, INPUTS, JOURNAL, CameraRecord, InputRecord, Machine, Role, SessionHeader, inside
from capture.storage import Storage

_RECORDED_PACKAGES = (
    "dpcam",
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "apriltag-python",
    "pillow",
    "pydantic",
)


@dataclass(frozen=True, slots=True)
class Input:
    """Something that a capture is made from; kept verbatim as ``inputs/<name>``."""

    role: Role
    name: str
    data: bytes

    @classmethod
    def from_file(cls, role: Role, path: Path, name: str = "") -> Input:
        """A file as it is, under its own name unless another is given."""
        return cls(role, name or path.name, read_bytes(path))


def sheet_inputs(sheet_json: Path) -> list[Input]:
    """A sheet's JSON with every file that it refers to (PDF, texture, target's artwork), as ``sheets/<name>``."""
    sheet = read_document(sheet_json, Sheet)
    inputs = [Input.from_file("sheet", sheet_json, f"sheets/{sheet_json.name}")]
    for name in dict.fromkeys((sheet.pdf, sheet.printed_pdf, sheet.texture, sheet.target.artwork)):
        if name:
            path = inside(sheet_json.parent, name, str(sheet_json))
            inputs.append(Input.from_file("sheet-file", path, f"sheets/{name}"))
    return inputs


def this_machine() -> Machine:
    """The machine that this runs on; asked once, by the program, and passed down."""
    return Machine(
        host=platform.node(),
        pid=os.getpid(),
        system=platform.platform(),
        python=platform.python_version(),
        versions={name: version for name in _RECORDED_PACKAGES if (version := _version(name))},
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def lay_down(root: Path, header: SessionHeader, inputs: Sequence[Input]) -> Path:
    """Make the folder of a new session under ``root``; it appears whole, or not at all.

    :class:`calibration.errors.NotReady` when ``root`` cannot be written.
    """
    folder = root / header.id
    aside = root / f".{header.id}.part"
    try:
        _fill(aside, header, inputs)
        aside.rename(folder)
    except OSError as error:
        raise not_writable(folder, error) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    sync_folder(root)
    return folder


def new_header(
    camera: str,
    machine: Machine,
    clock: Clock,
    inputs: Iterable[Input],
    *,
    operator: str,
    seed: int,
    storage: Storage,
    others: Sequence[str] = (),
) -> SessionHeader:
    """The header of a session that begins now; ``others``: identities of the cameras beside ``camera``."""
    mono_ns, wall_ns = clock.mono_ns(), clock.wall_ns()
    created = datetime.fromtimestamp(wall_ns / 1e9, UTC)
    folder, *other_folders = folder_names([camera, *others])
    unique = hashlib.sha256(f"{machine.host} {machine.pid} {mono_ns} {wall_ns}".encode()).hexdigest()[:6]
    return SessionHeader(
        id=f"{created:%Y%m%dT%H%M%SZ}-{folder}-{unique}",
        created_utc=created.isoformat(timespec="milliseconds"),
        t_mono_ns=mono_ns,
        t_wall_ns=wall_ns,
        camera=camera,
        camera_folder=folder,
        other_cameras=tuple(
            CameraRecord(identity=identity, folder=name) for identity, name in zip(others, other_folders, strict=True)
        ),
        operator=operator,
        seed=seed,
        storage=storage,
        machine=machine,
        inputs=[
            InputRecord(role=one.role, path=f"{INPUTS}/{one.name}", sha256=sha256_bytes(one.data), bytes=len(one.data))
            for one in inputs
        ],
    )


def folder_names(cameras: Sequence[str]) -> list[str]:
    """What the folder of each camera's frames is called; a number behind those that would be called like another."""
    names: list[str] = []
    for name in map(_folder_name, cameras):
        free = (f"{name}-{number}" if number > 1 else name for number in itertools.count(1))
        names.append(next(each for each in free if each not in names))
    return names


def _folder_name(camera: str) -> str:
    """The kind of the camera and the end of its address, in letters, digits and hyphens."""
    kind, _, address = camera.partition(":")
    words = re.findall(r"[A-Za-z0-9]+", address)
    return "-".join([*re.findall(r"[A-Za-z0-9]+", kind), *words[-4:]]).lower()[:40].strip("-") or "camera"


def _fill(folder: Path, header: SessionHeader, inputs: Iterable[Input]) -> None:
    """Write what a session begins with."""
    write_document(folder / HEADER, header)
    for one in inputs:
        write_bytes(inside(folder / INPUTS, one.name, one.name), one.data)
    start = StartEvent(n=0, t_mono_ns=header.t_mono_ns, t_wall_ns=header.t_wall_ns, session=header.id)
    write_bytes(folder / JOURNAL, start.model_dump_json().encode() + b"\n")
