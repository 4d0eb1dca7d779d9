"""JSON Schemas of the documents on disk, generated from the models: ``python -m pipeline.schemas docs/schemas``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from calibration.board import Board
from calibration.camera import CameraModel
from calibration.color import ColorResponse
from calibration.contract import Contract
from calibration.files import Document, write_json
from calibration.sheet import Sheet
from capture.plan import Plan
from capture.rigs.message import RigRequest
from capture.session import Seal, SessionHeader
from patches.modules import ModuleContract
from patches.patch import PatchDocument
from patches.spec import TransformSpec
from pipeline.evidence.manifest import Evidence
from pipeline.paper.verifying import Certificate
from pipeline.zoo.manifest import Manifest

DOCUMENTS: tuple[type[Document], ...] = (
    Board,
    CameraModel,
    Certificate,
    ColorResponse,
    Contract,
    Evidence,
    Manifest,
    ModuleContract,
    PatchDocument,
    Plan,
    RigRequest,
    Seal,
    SessionHeader,
    Sheet,
    TransformSpec,
)


def schemas() -> dict[str, dict[str, Any]]:
    """``<format>.v<version>`` → JSON Schema."""
    return {_name(kind): kind.model_json_schema() for kind in DOCUMENTS}


def write_schemas(folder: Path) -> list[Path]:
    """Write each schema to ``folder``; the paths written."""
    paths = [folder / f"{name}.json" for name in schemas()]
    for path, schema in zip(paths, schemas().values(), strict=True):
        write_json(path, schema)
    return paths


def _name(kind: type[Document]) -> str:
    fields = kind.model_fields
    return f"{fields['format'].default}.v{fields['version'].default}"


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
