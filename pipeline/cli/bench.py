"""``dpcam bench``: how fast the parts are here."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.command import SeedOption, command, new_group
from pipeline.result import Result

group = new_group("Benchmarks: how fast the parts are on this machine.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="bench")


@command(group, "sim")
def sim(
    frames: Annotated[int, typer.Option(help="Frames to render.", min=1)] = 50,
    width: Annotated[int, typer.Option(help="Width of a frame, px.", min=64)] = 1280,
    height: Annotated[int, typer.Option(help="Height of a frame, px.", min=64)] = 720,
    seed: SeedOption = None,
) -> Result:
    """Render frames of a fresh lab's plan with the simulated camera, and count them."""
    from pipeline.benchmarks import bench_sim

    speed = bench_sim(frames=frames, width=width, height=height, seed=seed or 1)
    return Result(
        data={"frames": frames, "frames_per_s": speed, "width": width, "height": height},
        lines=[f"{speed:.1f} frames/s at {width}x{height} ({frames} frames)"],
    )


@command(group, "localize")
def localize(
    frames: Annotated[int, typer.Option(help="Frames to localize.", min=1)] = 20, seed: SeedOption = None
) -> Result:
    """Localize simulated frames beside one undecimated pass of the bare detector, in one run."""
    from pipeline.benchmarks import bench_localize

    found = bench_localize(frames=frames, seed=seed or 1)
    return Result(
        data={
            "frames": frames,
            "localize_ms": found.localize_ms,
            "detector_ms": found.detector_ms,
            "speedup": found.speedup,
            "corner_error_px": found.corner_error_px,
        },
        lines=[
            f"localization {found.localize_ms:.1f} ms, bare detector {found.detector_ms:.1f} ms: "
            f"{found.speedup:.2f} x; median corner error {found.corner_error_px:.3f} px ({frames} frames)"
        ],
    )
