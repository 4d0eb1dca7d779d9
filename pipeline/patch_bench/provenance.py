"""What a result was made with: digests of the code that decides it, so that none is taken for another."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from calibration.files import sha256_bytes

ROOT = Path(__file__).resolve().parents[2]
FOLLOWED = ("patches.", "pipeline.noises.", "calibration.contract")
"""Imports that lead to code that counts."""

JUDGES = ("patches.trial", "pipeline.noises.corrupt", "pipeline.patch_bench.judging", "pipeline.patch_bench.frames")
PACKAGES = ("torch", "numpy", "onnx2fx", "foolbox", "opencv-python", "scipy", "dpcam")


def training_code(method: str) -> str:
    """Digest of all that trains by this method; other methods do not count."""
    return code_digest(("patches.train", f"patches.methods.{method}"))


def judging_code() -> str:
    """Digest of all that judges a patch."""
    return code_digest(JUDGES)


@cache
def code_digest(starts: tuple[str, ...]) -> str:
    """Digest of what these modules do, and those that they import: comments and docstrings do not count."""
    found: dict[str, str] = {}
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name not in found and path.is_file():
            tree = ast.parse(path.read_text(encoding="utf-8"))
            waiting += [each for each in imported(tree) if each.startswith(FOLLOWED)]
            found[name] = meaning(tree)
    return sha256_bytes("\n".join(f"{name} {found[name]}" for name in sorted(found)).encode())


def imported(tree: ast.AST) -> Iterator[str]:
    """Modules that are imported by their full name, wherever in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def meaning(tree: ast.AST) -> str:
    """The code without texts that are not used."""
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
