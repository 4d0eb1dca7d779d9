"""Pictures out of Debian packages: fetched with apt into a folder, known by their sha256, never shipped with dpcam."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from calibration.errors import BadInput, NotReady
from calibration.files import read_bytes, sha256_bytes, write_bytes

PATIENCE_S = 1800
Download = Callable[[str, Path], Path]


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of a Debian package: its path from the package's root, and what it holds."""

    package: str
    path: str
    sha256: str

    def place(self, cache: Path) -> Path:
        """Where it lies in ``cache``."""
        return cache / self.package / Path(self.path).name


def apt_download(package: str, into: Path) -> Path:
    """Download a package's newest ``.deb`` into a folder; :class:`NotReady` when apt is missing or cannot."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise NotReady(
            f"{package} cannot be fetched here: that needs apt-get and dpkg-deb",
            hint="put its pictures into the cache by hand, or fetch them on Debian or Ubuntu",
        )
    run(["apt-get", "download", "--quiet", package], into, package)
    return next(iter(into.glob(f"{package}_*.deb")))


def run(command: list[str], folder: Path, package: str) -> bytes:
    """What a command prints; :class:`NotReady` with its last words when it fails."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotReady(f"fetching {package} took longer than {PATIENCE_S} s") from error
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise NotReady(f"{package} cannot be fetched: {lines[-1]}", hint="run apt-get update, then try again")
    return done.stdout


def fetch(pictures: Iterable[Picture], cache: Path, download: Download = apt_download) -> None:
    """See to it that all pictures lie in ``cache``; each package is downloaded once, and only if something is missing.

    Raises :class:`NotReady` when a package cannot be had, :class:`BadInput` when it holds other pictures.
    """
    missing = [each for each in pictures if not each.place(cache).exists()]
    for package in sorted({each.package for each in missing}):
        wanted = {each.path: each for each in missing if each.package == package}
        with tempfile.TemporaryDirectory() as folder:
            deb = download(package, Path(folder))
            tar = run(["dpkg-deb", "--fsys-tarfile", str(deb)], Path(folder), package)
        for path, data in _members(tar, set(wanted)):
            write_bytes(wanted[path].place(cache), _proven(data, wanted[path], package))
            del wanted[path]
        if wanted:
            raise BadInput(f"{package} holds no {next(iter(wanted))}; another version of it has it")


def read_picture(picture: Picture, cache: Path) -> bytes:
    """Its bytes from ``cache``; :class:`BadInput` when they are not the ones that are known."""
    place = picture.place(cache)
    return _proven(read_bytes(place), picture, str(place))


def _members(tar: bytes, paths: set[str]) -> list[tuple[str, bytes]]:
    """The content of these regular files."""
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        found = [(each.name.removeprefix("./"), archive.extractfile(each)) for each in archive if each.isfile()]
        return [(name, stream.read()) for name, stream in found if stream is not None and name in paths]


def _proven(data: bytes, picture: Picture, where: str) -> bytes:
    if sha256_bytes(data) != picture.sha256:
        raise BadInput(
            f"{Path(picture.path).name} from {where} is not the picture that dpcam knows: its sha256 differs",
            hint="results could not be compared; remove it to have it fetched again",
            where=where,
        )
    return data
