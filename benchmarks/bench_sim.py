"""Frames per second of the simulated camera, everything included but the first sight of a sheet; prints JSON.

``python benchmarks/bench_sim.py [URI] [SHOTS]``
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2

from calibration.sheet import Sheet
from capture.cameras.sim import SimCamera, parse_sim_uri
from capture.plan import Condition, Shot
from pipeline.bench.sim import stage_lab

CONDITIONS = {
    "near": Condition(distance_mm=350),
    "middle": Condition(distance_mm=700, yaw_deg=30),
    "oblique": Condition(distance_mm=700, yaw_deg=60, pitch_deg=15, roll_deg=10),
    "far": Condition(distance_mm=3000),
    "shadow": Condition(distance_mm=700, light="shadow"),
    "defocus": Condition(distance_mm=700, extra={"defocus_px": 2.5}),
    "motion": Condition(distance_mm=700, extra={"motion_px": 6.0}),
}


def rate(camera: SimCamera, sheet: Sheet, condition: Condition, shots: int) -> dict[str, float]:
    """Staged shots with one frame each: how many per second, and processor time over all threads for one."""
    camera.stage(Shot(index=0, arm="blank", sheet=sheet.id, condition=condition), sheet)
    start, worked = time.perf_counter(), time.process_time()
    for repeat in range(shots):
        camera.stage(Shot(index=0, arm="blank", sheet=sheet.id, condition=condition, repeat=repeat + 1), sheet)
        camera.read()
    wall, cpu = time.perf_counter() - start, time.process_time() - worked
    return {"frames_per_s": round(shots / wall, 1), "cpu_ms": round(1000 * cpu / shots, 1)}


def burst_rate(camera: SimCamera, frames: int) -> float:
    """Further frames of the same shot, per second."""
    start = time.perf_counter()
    for _ in range(frames):
        camera.read()
    return frames / (time.perf_counter() - start)


def main() -> None:
    """Measure and print."""
    options = parse_sim_uri(sys.argv[1] if len(sys.argv) > 1 else "sim:")
    shots = int(sys.argv[2]) if len(sys.argv) > 2 else 30
    with tempfile.TemporaryDirectory() as folder:
        stage = stage_lab(Path(folder), options.width, options.height, options.seed)
        sheet = next(sheet for sheet in stage.sheets.values() if sheet.arm == "blank")
        start = time.perf_counter()
        camera = SimCamera(options, Path(folder) / "sheets")
        opened = time.perf_counter()
        camera.stage(Shot(index=0, arm="blank", sheet=sheet.id, condition=CONDITIONS["near"]), sheet)
        first = time.perf_counter()
        rates = {name: rate(camera, sheet, condition, shots) for name, condition in CONDITIONS.items()}
        burst = burst_rate(camera, shots)
    result = {
        "benchmark": "sim",
        "camera": options.uri,
        "width": options.width,
        "height": options.height,
        "threads": cv2.getNumThreads(),
        "load_average": round(os.getloadavg()[0], 2),
        "open_s": round(opened - start, 3),
        "first_sight_of_a_sheet_s": round(first - opened, 3),
        "staged": rates,
        "burst_frames_per_s": round(burst, 1),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
