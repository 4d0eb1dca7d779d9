"""A bench of patches in small: pictures of plain colors, recognizers that name the color they see most of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from color_model import color_model
from PIL import Image

from pipeline.declaring import add_model
from pipeline.patch_bench.datasets import open_folder
from pipeline.patch_bench.effort import CONTROLS, QUICK
from pipeline.patch_bench.plan import BenchPlan, make_plan
from pipeline.patch_bench.run import run_bench
from pipeline.patch_bench.tables import Tables, make_tables
from pipeline.patch_bench.variants import chosen_variants
from pipeline.recognizers import load_recognizers

SIDE = 16
LABELS = ("red", "green", "blue")
COLORS = {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)}
TINY = replace(
    QUICK,
    name="tiny",
    classes=None,
    steps=3,
    batch=4,
    views=4,
    training=3,
    validation=2,
    strangers=1,
    pictures=2,
    attacked=1,
    spoofed=1,
    corruptions=("gaussian-noise", "fog"),
    severities=(4, 5),
    attacks=("pgd10-4",),
)
AREA = 0.4375
"""A ring of whole pixels: 2 px of 16."""


def border_and_middle(folder: Path) -> Path:
    """Two recognizers into the folder: one looks at the border, one (held out) at the middle."""
    within = np.abs(np.arange(SIDE) - (SIDE - 1) / 2) < 6
    middle = within[:, None] & within[None, :]
    for name, seen, held_out in (("border", ~middle, False), ("middle", middle, True)):
        path = folder.parent / f"{name}.onnx"
        path.write_bytes(color_model(seen))
        add_model(path, folder, name=name, labels=LABELS, family=name, held_out=held_out)
    return folder


def plain_colors(root: Path) -> Path:
    """Ten pictures for each class: its color, plain but for some noise."""
    dice = np.random.default_rng(5)
    for label, color in COLORS.items():
        (root / label).mkdir()
        for number in range(10):
            pixels = np.clip(np.array(color) + dice.normal(0, 8, (20, 20, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:02d}.png")
    return root


def plan_of(
    folder: Path, models: Path, work: Path, effort=TINY, methods=("ensemble",), controls=("blank",), **more
) -> BenchPlan:
    return make_plan(
        open_folder(folder),
        load_recognizers([models]),
        chosen_variants(methods, with_ablation=False),
        controls,
        effort,
        area=AREA,
        seed=more.pop("seed", 0),
        work=work,
        **more,
    )


def all_arms(folder: Path, models: Path, work: Path) -> tuple[BenchPlan, Tables]:
    """All controls and two methods, two seeds."""
    plan = plan_of(folder, models, work, replace(TINY, seeds=2), ("ensemble", "unadversarial"), CONTROLS)
    return plan, make_tables(run_bench(plan))
