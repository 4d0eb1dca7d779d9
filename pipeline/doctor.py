"""Is this installation sound? Each check says what it found; none changes anything."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from calibration.errors import DpcamError

LOW_DISK_BYTES = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, whether all is well, what was found, and what to do."""

    name: str
    ok: bool
    text: str
    hint: str = ""


def examine(lab: Path) -> list[Finding]:
    """Run all checks; a check that breaks is itself a problem that is reported."""
    checks = (python, one_cv2, one_onnxruntime, cuda, torch, tags, zoo)
    return [*(_guarded(check) for check in checks), disk(lab)]


def python() -> Finding:
    """The interpreter's version."""
    version = sys.version.split()[0]
    return Finding("python", (3, 11) <= sys.version_info[:2] < (3, 14), version, "use Python 3.11, 3.12 or 3.13")


def one_cv2() -> Finding:
    """Both OpenCV distributions write the same folder: they must be of one version, and cv2 must load."""
    versions = {name: _version(name) for name in ("opencv-python", "opencv-python-headless")}
    present = {name: version for name, version in versions.items() if version}
    text = ", ".join(f"{name} {version}" for name, version in present.items())
    if len(set(present.values())) > 1:
        return Finding("cv2", False, f"two versions in one folder: {text}", "install both in the same version")
    import cv2

    return Finding("cv2", True, f"{text}, loaded {cv2.__version__}")


def one_onnxruntime() -> Finding:
    """onnxruntime and onnxruntime-gpu share a folder; with both installed one is silently broken."""
    names = ("onnxruntime", "onnxruntime-gpu")
    present = [f"{name} {_version(name)}" for name in names if _version(name)]
    if len(present) != 1:
        hint = "uninstall both, then install one of them"
        return Finding("onnxruntime", False, f"exactly one expected, found: {', '.join(present) or 'none'}", hint)
    return Finding("onnxruntime", True, present[0])


def cuda() -> Finding:
    """Whether the CUDA provider really works; that it does not is no problem, only a fact."""
    from pipeline.recognizers import require_provider

    try:
        require_provider("cuda")
    except DpcamError:
        return Finding("cuda", True, "not available: recognizers run on the CPU")
    return Finding("cuda", True, "available")


def torch() -> Finding:
    """Training needs torch; its version is read without loading it."""
    version = _version("torch")
    return Finding("torch", bool(version), version or "not installed", "pip install torch")


def tags() -> Finding:
    """Draw a tag, find it."""
    import numpy as np

    from calibration.tags import detect, tag_bits

    page = np.full((140, 140), 255, np.uint8)
    page[20:120, 20:120] = np.kron(tag_bits(7), np.ones((10, 10), bool)).astype(np.uint8) * 255
    seen = [tag.id for tag in detect(page)]
    return Finding("apriltag", seen == [7], f"drew tag 7, found {seen}", "reinstall apriltag-python")


def zoo() -> Finding:
    """The recognizers that dpcam ships pass their self-tests."""
    from pipeline.recognizers import check_recognizer, load_recognizers, zoo_folder

    outcomes = {each.name: check_recognizer(each) for each in load_recognizers([zoo_folder()])}
    failed = [f"{name}: {outcome.reason}" for name, outcome in outcomes.items() if not outcome.passed]
    text = "; ".join(failed) or f"{len(outcomes)} recognizers pass their self-tests"
    return Finding("zoo", bool(outcomes) and not failed, text, "reinstall dpcam")


def disk(folder: Path) -> Finding:
    """Space for sessions."""
    free = shutil.disk_usage(folder if folder.exists() else Path()).free
    return Finding("disk", free > LOW_DISK_BYTES, f"{free / 1e9:.1f} GB free", "free some space")


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except (ImportError, OSError, DpcamError) as error:
        return Finding(check.__name__.replace("one_", ""), False, f"{type(error).__name__}: {error}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
