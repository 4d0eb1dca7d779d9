"""``dpcam bench``: how fast the parts are here, and what patches are worth."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.cli.command import DryRunOption, SeedOption, command, new_group
from pipeline.result import Result

group = new_group("Benchmarks: how fast the parts are on this machine, and what patches are worth.")


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
    from pipeline.bench.sim import bench_sim

    speed = bench_sim(frames=frames, width=width, height=height, seed=seed or 1)
    return Result(
        data={"frames": frames, "frames_per_s": speed, "width": width, "height": height},
        lines=[f"{speed:.1f} frames/s at {width}x{height} ({frames} frames)"],
    )


@command(group, "localize")
def localize(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: few frames.")] = False,
    frames: Annotated[int | None, typer.Option(help="Frames with a sheet; 2000, or 6 with --quick.", min=1)] = None,
    empty: Annotated[int | None, typer.Option(help="Frames without one; 5000, or 8 with --quick.", min=1)] = None,
    moving: Annotated[
        int | None, typer.Option(help="Frames of a moving sheet, for each size; 60, or 3 with --quick.", min=1)
    ] = None,
    photographs: Annotated[
        Path | None,
        typer.Option(help="gtsrb-photos.zip or its folder; else looked for as by `bench patches`.", metavar="PATH"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Gets the tables as Markdown.")] = None,
    seed: SeedOption = None,
) -> Result:
    """Track a moving sheet and localize simulated frames, beside the bare detector; look for sheets where none is."""
    from pipeline.bench.localize import FULL, QUICK, Effort, bench_localize, find_photographs
    from pipeline.cli.output import progress_bar

    usual = QUICK if quick else FULL
    effort = Effort(moving or usual.moving, frames or usual.frames, empty or usual.empty, usual.sizes)
    photos = find_photographs(photographs, os.environ.get("DPCAM_DATA"), Path.cwd())
    with progress_bar("localization") as progress:
        return bench_localize(effort, photos=photos, out=out, seed=seed or 1, progress=progress)


@command(group, "capture")
def capture(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: ten seconds of it.")] = False,
    seconds: Annotated[float | None, typer.Option(help="How long; 60, or 10 with --quick.", min=1)] = None,
    codec: Annotated[
        Literal["auto", "png", "webp", "tiff"], typer.Option(help="How pictures are stored; auto: what keeps up.")
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the session meanwhile; that of temporary files.", metavar="DIR")
    ] = None,
    seed: SeedOption = None,
) -> Result:
    """Capture from a simulated 1920x1080 camera at 30 frames/s, localizing and storing every frame; count the lost."""
    from capture.storage import Storage
    from pipeline.bench.capture import Order, bench_capture, sustained_result
    from pipeline.cli.output import progress_bar

    order = Order(
        seconds=seconds or (10 if quick else 60),
        storage=Storage(codec=codec, frames_per_s=30),
        folder=out,
        seed=seed or 1,
    )
    with progress_bar("capture") as progress:
        return sustained_result(bench_capture(order, progress), order)


@command(group, "camera")
def camera(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: one board, few sets of views.")] = False,
    trials: Annotated[int | None, typer.Option(help="Sets of views; 50, or 8 with --quick.", min=2)] = None,
    mrcal: Annotated[
        Path | None, typer.Option(help="A Python in whose environment mrcal is installed.", metavar="PYTHON")
    ] = None,
    photographs: Annotated[
        Path | None, typer.Option(help="Folder of OpenCV's left01.jpg to right14.jpg.", metavar="DIR")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Gets the tables as Markdown.")] = None,
    seed: SeedOption = None,
) -> Result:
    """Calibrate synthetic cameras and photographs, beside OpenCV's plain fit and mrcal on the same corners."""
    from pipeline.bench.camera import BOARDS, bench_camera
    from pipeline.cli.output import progress_bar

    boards = list(BOARDS)[:1] if quick else list(BOARDS)
    with progress_bar("camera") as progress:
        return bench_camera(
            trials=trials or (8 if quick else 50),
            boards=boards,
            mrcal=mrcal,
            photographs=photographs,
            out=out,
            seed=seed or 0,
            progress=progress,
        )


@command(group, "verify")
def verify(
    trials: Annotated[int, typer.Option(help="Prints to measure.", min=1)] = 100,
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: 8 prints.")] = False,
    uncalibrated: Annotated[
        bool, typer.Option("--uncalibrated", help="By a camera whose lens nobody has measured.")
    ] = False,
    seed: SeedOption = None,
) -> Result:
    """Measure simulated prints of known scale as `print verify` does; count how often its interval holds the truth."""
    from pipeline.bench.print_trials import QUICK, run_trials, trials_result
    from pipeline.cli.output import progress_bar

    with progress_bar("prints") as progress:
        found = run_trials(QUICK if quick else trials, seed or 0, calibrated=not uncalibrated, progress=progress)
    return trials_result(found, calibrated=not uncalibrated)


@command(group, "color")
def color(
    quick: Annotated[
        bool, typer.Option("--quick", help="Less than a minute: one printer, one short training.")
    ] = False,
    seed: SeedOption = None,
) -> Result:
    """Train patches with a measured color response and without; judge both in the simulator's prints."""
    from pipeline.bench.color import FULL, QUICK, bench_color, color_result
    from pipeline.cli.output import progress_bar

    effort = QUICK if quick else FULL
    with progress_bar("color") as progress:
        return color_result(bench_color(effort, seed or 0, progress), effort)


@command(group, "statistics")
def statistics(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: 200 sessions of each kind.")] = False,
    sessions: Annotated[
        int | None, typer.Option(help="Sessions of each kind; 1000, or 200 with --quick.", min=20, max=100_000)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Gets the tables as Markdown.")] = None,
    seed: SeedOption = None,
) -> Result:
    """Simulate sessions of known rates; count how often intervals hold these, and how often verdicts are right."""
    from calibration.files import write_text
    from pipeline.bench.camera_tables import as_markdown
    from pipeline.bench.statistics import FULL, QUICK, bench_statistics
    from pipeline.bench.statistics_tables import statistics_result
    from pipeline.cli.output import progress_bar

    usual = QUICK if quick else FULL
    effort = replace(usual, sessions=sessions or usual.sessions)
    with progress_bar("statistics") as progress:
        result = statistics_result(bench_statistics(effort, seed or 1, progress))
    if out:
        write_text(out, as_markdown(result.tables))
    return result


@command(group, "train")
def train(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: fewer turns.")] = False,
    art: Annotated[
        Path | None,
        typer.Option(help="Gets the environment of the tool compared with; by dpcam's own by default.", metavar="DIR"),
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="A folder of recognizers to train on; else dpcam's own.", metavar="DIR")
    ] = None,
    seed: SeedOption = None,
) -> Result:
    """Time a training step beside its bare surrogates, and beside adversarial-robustness-toolbox on one network."""
    from pipeline.bench.train_speed import FULL, QUICK, bench_train, speed_result

    effort, environment = QUICK if quick else FULL, art or Path(sys.prefix) / "dpcam-art"
    return speed_result(bench_train(art=environment, effort=effort, seed=seed or 0, models=models))


@command(group, "score")
def score(
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: fewer pictures and turns.")] = False,
    pictures: Annotated[int | None, typer.Option(help="In a turn; 1000, or 240 with --quick.", min=100)] = None,
    turns: Annotated[int | None, typer.Option(help="7, or 2 with --quick.", min=1)] = None,
    long: Annotated[
        int | None, typer.Option(help="Pictures of the one long run; 100000, or 1000 with --quick.", min=500)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Threads side by side; as many as there are cores.", min=1, max=256)
    ] = None,
    seed: SeedOption = None,
) -> Result:
    """Score files with six recognizers, beside bare decoding and bare networks; long runs, one recognizer more."""
    from pipeline.bench.score import FULL, QUICK, Effort, bench_score, score_result
    from pipeline.cli.output import progress_bar

    usual = QUICK if quick else FULL
    effort = Effort(pictures or usual.pictures, turns or usual.turns, long or usual.long)
    with progress_bar("score") as progress:
        return score_result(bench_score(effort, workers=workers, seed=seed or 0, progress=progress))


@command(group, "patches")
def patches(
    dataset: Annotated[
        str, typer.Option(help="drawn, gtsrb, cifar10, imagenet, or a folder with a folder of pictures for each class.")
    ] = "drawn",
    data: Annotated[
        Path | None, typer.Option(help="The data set's file, or the folder that holds it.", metavar="PATH")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="A folder of recognizers; else dpcam's own.", metavar="DIR")
    ] = None,
    more_models: Annotated[
        Path | None, typer.Option(help="A folder of recognizers that join those.", metavar="DIR")
    ] = None,
    held_out: Annotated[
        str, typer.Option(help="Recognizers or families, by commas, that no patch is trained on; else as they say.")
    ] = "",
    methods: Annotated[str, typer.Option(help="Methods, by commas; the first is held against the others.")] = "",
    controls: Annotated[str, typer.Option(help="Controls, by commas, or none.")] = "",
    seeds: Annotated[int | None, typer.Option(help="Trainings of each patch.", min=1, max=100)] = None,
    classes: Annotated[str, typer.Option(help="So many classes, spread evenly, or their names, by commas.")] = "",
    attacks: Annotated[str, typer.Option(help="Attacks, by commas (pgd40-8-object), or none.")] = "",
    steps: Annotated[int | None, typer.Option(help="Steps of each training.", min=1)] = None,
    pictures: Annotated[int | None, typer.Option(help="Test pictures of each class.", min=1)] = None,
    frame: Annotated[
        str | None, typer.Option(help="square, or outline: along the object's; else what suits the data set.")
    ] = None,
    area: Annotated[
        float | None, typer.Option(help="Share of the picture that the frame covers.", min=0.02, max=0.9)
    ] = None,
    areas: Annotated[
        str, typer.Option(help="Several such shares, by commas: the curve gain over area.", metavar="SHARES")
    ] = "",
    quick: Annotated[bool, typer.Option("--quick", help="Less than a minute: it shows that all works.")] = False,
    standard: Annotated[bool, typer.Option("--standard", help="Some minutes: it shows a tendency.")] = False,
    ablation: Annotated[
        bool, typer.Option("--ablation", help="Also the first method with each of its terms switched.")
    ] = False,
    work: Annotated[
        Path | None, typer.Option(help="Keeps finished pieces; OUT/work by default.", metavar="DIR")
    ] = None,
    out: Annotated[Path, typer.Option(help="Gets the tables and the figure.", metavar="DIR")] = Path("patch-bench"),
    jobs: Annotated[int, typer.Option(help="Processes that work side by side.", min=1, max=256)] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    half: Annotated[
        bool, typer.Option("--bfloat16", help="Surrogates train in bfloat16; judging is always exact.")
    ] = False,
    seed: SeedOption = None,
    dry_run: DryRunOption = False,
) -> Result:
    """Train patches by several methods and judge them on pictures and recognizers that they never saw."""
    from pipeline.cli.output import progress_bar
    from pipeline.patch_bench.area_curve import ask_for_curve, curve_outlook, curve_result
    from pipeline.patch_bench.command import Asked, ask_for, bench_result, dry_result

    asked = Asked(
        dataset=dataset,
        data=data,
        models=models,
        more_models=more_models,
        held_out=_words(held_out),
        methods=_words(methods),
        controls=_words(controls),
        seeds=seeds,
        classes=_words(classes),
        attacks=_words(attacks),
        steps=steps,
        pictures=pictures,
        frame=frame,
        area=area,
        quick=quick,
        standard=standard,
        ablation=ablation,
        work=work or out / "work",
        seed=seed or 0,
        device=device,
        precision="bfloat16" if half else "float32",
    )
    data_folder = os.environ.get("DPCAM_DATA")
    if areas:
        plans = ask_for_curve(asked, _words(areas), data_folder=data_folder, where=Path.cwd())
        if dry_run:
            return curve_outlook(plans)
        with progress_bar("patches") as progress:
            return curve_result(plans, out, jobs=jobs, progress=progress)
    plan = ask_for(asked, data_folder=data_folder, where=Path.cwd())
    if dry_run:
        return dry_result(plan)
    with progress_bar("patches") as progress:
        return bench_result(plan, out, jobs=jobs, progress=progress)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
