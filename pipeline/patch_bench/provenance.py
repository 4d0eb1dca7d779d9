"""What a result was made with: digests of the code that decides it, so that none is taken for another."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from calibration.files import sha256_bytes

ROOT = Path(__file__).resolve().parents[2]
TRAINING_CODE = (
    *("patches/order.py", "patches/train.py", "patches/draws.py", "patches/eot.py", "patches/resample.py"),
    *("patches/surrogates.py", "patches/objective.py", "patches/guards.py", "patches/methods/base.py"),
)
METHOD_CODE = {"defensive": ("patches/disturb.py", "patches/correlation.py")}
JUDGING_CODE = (
    *("patches/trial.py", "patches/attacks.py", "patches/ascent.py", "patches/surrogates.py", "patches/resample.py"),
    *("pipeline/noises", "pipeline/patch_bench/judging.py", "pipeline/patch_bench/frames.py"),
)
PACKAGES = ("torch", "numpy", "onnx2fx", "foolbox", "opencv-python", "scipy", "dpcam")


def training_code(method: str) -> str:
    """Digest of all that trains by this method."""
    return code_digest((*TRAINING_CODE, f"patches/methods/{method}.py", *METHOD_CODE.get(method, ())))


def judging_code() -> str:
    """Digest of all that judges a patch."""
    return code_digest(JUDGING_CODE)


@cache
def code_digest(names: tuple[str, ...]) -> str:
    """Digest of what these files, or all files of a folder, do: comments and docstrings do not count."""
    paths = [path for name in names for path in _files(ROOT / name)]
    return sha256_bytes("\n".join(_meaning(path.read_text(encoding="utf-8")) for path in paths).encode())


def _files(path: Path) -> Iterable[Path]:
    return sorted(path.glob("*.py")) if path.is_dir() else [path]


def _meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def key_of(parts: Mapping[str, Any]) -> str:
    """A name for what these parts determine: 32 hex digits."""
    return sha256_bytes(json.dumps(parts, sort_keys=True).encode())[:32]


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    return {name: metadata.version(name) for name in PACKAGES}
