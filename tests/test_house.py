"""The house: what is installed is one consistent whole, and what is imported when."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement

PACKAGES = ("calibration", "capture", "patches", "pipeline")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
OPENCV = ("opencv-python", "opencv-python-headless")


def canonical(name: str) -> str:
    """The one spelling of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def modules_of(*roots: str) -> list[str]:
    """All modules of these packages, by their files."""
    names = []
    for root in roots:
        for path in sorted((ROOT / root).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def python(program: str, **environ: str | None) -> str:
    """Run a program in a fresh interpreter, outside of the checkout → what it printed."""
    inherited = {key: value for key, value in os.environ.items() if key not in environ}
    given = {key: value for key, value in environ.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd="/", env=inherited | given
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def loaded_after(modules: list[str], heavy: tuple[str, ...]) -> str:
    """Which of the ``heavy`` packages are in memory after the modules were imported."""
    lines = [f"import {name}" for name in modules]
    return python("\n".join(["import sys", *lines, f"print(*[name for name in {heavy} if name in sys.modules])"]))


# One cv2


def test_both_opencv_distributions_have_the_same_version():
    versions = {name: metadata.version(name) for name in OPENCV}
    assert len(set(versions.values())) == 1, f"{versions}: two versions leave a mixed cv2 (decision 0002)"


def test_cv2_is_one_whole():
    broken = {name: wrong_files(name) for name in OPENCV}
    assert not all(broken.values()), f"cv2 is neither build in full (decision 0002): {broken}"


def wrong_files(distribution: str) -> list[str]:
    """Files of the distribution in ``cv2/`` that are missing or are not what its RECORD says."""
    files = metadata.distribution(distribution).files or []
    return [str(file) for file in files if file.parts[0] == "cv2" and file.hash and recorded(file) != file.hash.value]


def recorded(file: metadata.PackagePath) -> str:
    """The file's digest as RECORD writes it; empty when it is not there."""
    path = Path(str(file.locate()))
    if not path.is_file():
        return ""
    digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_only_one_onnxruntime():
    found = [name for name in ("onnxruntime", "onnxruntime-gpu") if installed(name)]
    assert len(found) == 1, f"{found}: both write the same folder, and one is dead then"


def installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


# Imports


def test_everything_can_be_imported_without_a_display():
    modules = ["cv2", "apriltag", *modules_of(*PACKAGES)]
    python("\n".join(f"import {name}" for name in modules), DISPLAY=None, WAYLAND_DISPLAY=None, QT_QPA_PLATFORM=None)


def test_nothing_but_patches_loads_torch_by_being_imported():
    assert loaded_after(modules_of("calibration", "capture", "pipeline"), ("torch", "onnxruntime")) == ""


def test_the_command_line_loads_nothing_heavy_by_being_imported():
    heavy = ("torch", "cv2", "onnxruntime", "albumentations", "matplotlib", "scipy")
    assert loaded_after(modules_of("pipeline/cli"), heavy) == ""


def test_import_rules_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


# What is declared


def test_constraints_satisfy_the_project():
    pinned = {canonical(entry.name): entry.specifier for entry in CONSTRAINTS}
    project = PYPROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    for requirement in map(Requirement, [*wanted, *PYPROJECT["build-system"]["requires"]]):
        name = canonical(requirement.name)
        assert name in pinned, f"{name} has no pin in constraints.txt"
        version = re.fullmatch(r"==([\w.]+)", str(pinned[name]))
        assert version, f"{name}{pinned[name]}: pins are exact and have no local version"
        assert requirement.specifier.contains(version[1]), f"{requirement} against {name}=={version[1]}"


def test_constraints_name_each_package_once_and_no_place():
    names = [canonical(entry.name) for entry in CONSTRAINTS]
    assert len(set(names)) == len(names)
    assert not any(entry.url or entry.extras for entry in CONSTRAINTS)


def test_what_is_installed_is_what_is_pinned():
    pinned = {canonical(entry.name): entry for entry in CONSTRAINTS}
    for requirement in map(Requirement, PYPROJECT["project"]["dependencies"]):
        if requirement.marker is None or requirement.marker.evaluate():
            version = metadata.version(requirement.name).partition("+")[0]
            assert pinned[canonical(requirement.name)].specifier.contains(version), f"{requirement.name} {version}"


@pytest.mark.slow
def test_the_wheel_holds_all_that_the_packages_hold(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("dpcam-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for root in PACKAGES
        for path in (ROOT / root).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert not files - held, "files of the packages that the wheel lacks (see .gitignore)"
    assert not {name for name in held if name.startswith("tests/")}
    assert [name for name in held if name.startswith("pipeline/zoo/") and name.endswith(".onnx")], "the zoo's models"
    assert [name for name in held if name.startswith("pipeline/report/templates/")], "the report's templates"
    assert [name for name in held if name.endswith("licenses/LICENSE")]
