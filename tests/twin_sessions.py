"""Small simulated sessions with one thing spoiled: bare, blank and a patch under two conditions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import another_lab
from PIL import Image
from program import data

from calibration.files import read_document
from calibration.geometry import Box
from calibration.sheet import Sheet
from capture.session import Session, read_session
from patches.pdf import sheet_pdf

PERFECT = "sim:lab?rig=0&ink=0"
HEAD = '[sheet]\ncontrols = ["bare", "blank"]\n[plan]\nrepeats = 1\n'
NEAR_AND_FAR = 'distances_mm = [900.0, 1600.0]\nyaws_deg = [0.0]\nlights = ["dim"]\n'
OUT_OF_FOCUS = 'distance_mm = [900, 1200]\nlight = ["dim"]\ndefocus_px = [3.0]\n'
PATCH = "general-caution"


def captured_with(
    lab: Path, folder: Path, camera: str, *, defocused: bool = False, slipped_mm: Box | None = None
) -> Session:
    """Capture six shots in a copy of ``lab``; ``slipped_mm``: its corner says by how much the patch is printed off."""
    copy = another_lab(lab, folder)
    (copy / "conditions.toml").write_text(OUT_OF_FOCUS)
    settings = copy / "lab.toml"
    plan = 'conditions = "conditions.toml"\n' if defocused else NEAR_AND_FAR
    settings.write_text(settings.read_text().partition("[plan]")[0] + HEAD + plan)
    data("plan", cwd=copy)
    if slipped_mm:
        print_elsewhere(copy / "sheets", slipped_mm)
    return read_session(copy / data("capture", "--camera", camera, cwd=copy)["session"])


def print_elsewhere(sheets: Path, by: Box) -> None:
    """Print the patch beside its place: the sheet says nothing of it."""
    (path,) = sheets.glob(f"{PATCH}-????????.json")
    sheet = read_document(path, Sheet)
    texture = np.asarray(Image.open(sheets / str(sheet.texture)).convert("RGB"))
    moved = {
        name: box.model_copy(update={"x_mm": box.x_mm + by.x_mm, "y_mm": box.y_mm + by.y_mm})
        for name, box in (("frame", sheet.frame), ("inner", sheet.inner), ("window", sheet.window))
    }
    (sheets / sheet.pdf).write_bytes(sheet_pdf(sheet.model_copy(update=moved), texture))
