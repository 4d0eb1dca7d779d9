"""``dpcam models``: declare recognizers, check them, convert published ones, train the zoo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from calibration.errors import BadInput, BadUsage, LimitNotMet
from pipeline.cli.command import DryRunOption, LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

group = new_group("Recognizers: add your own, run all self-tests, train the zoo.")
PhotosOption = Annotated[Path, typer.Option("--photos", help="Folder or zip of photographs CC/TTTTT_FFFFF.png.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="models")


@command(group, "check")
def check(
    lab: LabOption = Path(),
    folder: Annotated[list[Path] | None, typer.Option("--folder", help="Only these folders of recognizers.")] = None,
    provider: Annotated[Literal["cpu", "cuda"], typer.Option(help="Execution provider, enforced.")] = "cpu",
) -> Result:
    """Run the self-tests of all recognizers of the bench (the zoo's and the lab's)."""
    from pipeline.recognizers import check_recognizer, load_recognizers, require_provider

    require_provider(provider)
    recognizers = load_recognizers(folder) if folder else enter_lab(lab, required=False).recognizers()
    outcomes = [(each, check_recognizer(each, provider)) for each in recognizers]
    listed = [
        {
            "name": each.name,
            "family": each.contract.family,
            "held_out": each.contract.held_out,
            "self_test": "pass" if outcome.passed else "fail",
            "bytes": each.onnx.stat().st_size if each.onnx.is_file() else 0,
            "reason": outcome.reason,
        }
        for each, outcome in outcomes
    ]
    rows = tuple(
        (str(e["name"]), str(e["family"]), "held out" if e["held_out"] else "", str(e["self_test"]), str(e["bytes"]))
        for e in listed
    )
    errors = [
        LimitNotMet(f"{each.name} fails its self-test: {outcome.reason}", where=str(each.onnx))
        for each, outcome in outcomes
        if not outcome.passed
    ]
    table = Table("Recognizers", ("name", "family", "role", "self-test", "bytes"), rows)
    return Result(data={"recognizers": listed}, tables=[table], errors=errors)


@command(group, "add")
def add(
    file: Annotated[Path, typer.Argument(help="The model, an ONNX file.", metavar="FILE.onnx")],
    labels: Annotated[
        Path | None, typer.Option(help="Text file, one label a line, in the order of the scores.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name on the bench; the file's name by default.")] = None,
    mean: Annotated[str, typer.Option(help="Mean per channel, in units of --range: one number or three.")] = "0",
    std: Annotated[str, typer.Option(help="Standard deviation per channel: one number or three.")] = "1",
    range_max: Annotated[float, typer.Option("--range", help="Value of full white before mean and std.")] = 1.0,
    color: Annotated[Literal["RGB", "BGR"], typer.Option(help="Order of the channels.")] = "RGB",
    layout: Annotated[Literal["NCHW", "NHWC"] | None, typer.Option(help="Where the channels are; inferred.")] = None,
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH or one number, for a model that leaves it open.")
    ] = None,
    resize: Annotated[Literal["area", "bilinear"], typer.Option(help="How pictures are resized.")] = "area",
    output: Annotated[
        Literal["logits", "probabilities"] | None, typer.Option(help="What the model gives; inferred.")
    ] = None,
    family: Annotated[str, typer.Option(help="Family of the architecture, for the tables.")] = "unknown",
    held_out: Annotated[bool, typer.Option("--held-out", help="Never train a patch on this model.")] = False,
    licence: Annotated[str, typer.Option(help="Licence of the weights.")] = "",
    training_data: Annotated[str, typer.Option(help="What it was trained on.")] = "",
    into: Annotated[Path | None, typer.Option(help="Folder to store it in; the lab's models/ by default.")] = None,
    lab: LabOption = Path(),
) -> Result:
    """Declare a recognizer: inspect the model, run it, store preprocessing, labels and self-test."""
    from calibration.files import in_file_name
    from pipeline.declaring import add_model

    if labels is None:
        raise BadUsage("--labels is missing: a text file, one label a line, in the order of the model's scores")
    folder = into or lab / "models"
    contract = add_model(
        file,
        folder,
        name=name or in_file_name(file.stem),
        labels=_read_labels(labels),
        mean=_triple(mean, "--mean"),
        std=_triple(std, "--std"),
        range_max=range_max,
        color=color,
        layout=layout,
        resize=resize,
        size=_size(size),
        family=family,
        held_out=held_out,
        licence=licence,
        training_data=training_data,
        output=output,
    )
    path = folder / f"{contract.name}.json"
    data = {
        "name": contract.name,
        "contract": str(path),
        "labels": len(contract.labels),
        "layout": contract.layout,
        "dtype": contract.dtype,
        "height": contract.height,
        "width": contract.width,
    }
    return Result(data=data, lines=[f"{contract.name}: {len(contract.labels)} labels, self-test stored in {path}"])


@command(group, "train-zoo")
def train_zoo(
    photos: Annotated[
        Path,
        typer.Option(
            "--photos",
            help="Folder, zip or tar of photographs: CC/TTTTT_FFFFF.png of signs, CLASS/NNNN.jpg of objects.",
        ),
    ],
    subject: Annotated[
        Literal["signs", "objects"], typer.Option(help="Traffic signs, or the objects of CIFAR-10.")
    ] = "signs",
    out: Annotated[
        Path | None, typer.Option(help="Folder for models, contracts and cards; zoo or zoo-objects by default.")
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(help="Folder for checkpoints, from which a rerun resumes; .zoo-work or .zoo-work-objects."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed; 7 made the zoo that ships.", min=0, max=2**32 - 1)] = 7,
    family: Annotated[list[str] | None, typer.Option("--family", help="Only these families; all by default.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs for each, instead of the recipe's own.", min=1)] = None,
    suffix: Annotated[str, typer.Option(help="Appended to their names, to stand beside the zoo's own: -8.")] = "",
    dry_run: DryRunOption = False,
) -> Result:
    """Train a zoo on photographs and export it with contracts and model cards, judged on photographs held out."""
    from pipeline.zoo import recipe
    from pipeline.zoo.subjects import SUBJECTS

    chosen = SUBJECTS[subject]
    ending = "" if subject == "signs" else f"-{subject}"
    into = out or Path(f"zoo{ending}")
    names = [member.name for member in recipe.choose_members(chosen, family or (), suffix)]
    if dry_run:
        return Result(
            data={"would_train": names, "out": str(into)},
            lines=[f"would train {', '.join(names)} into {into}"],
        )
    with progress_bar("training the zoo") as bar:
        trained = recipe.train_zoo(
            chosen,
            photos,
            into,
            work or Path(f".zoo-work{ending}"),
            seed=seed,
            families=family or (),
            epochs=epochs,
            suffix=suffix,
            progress=lambda name, share, text: bar(share, f"{name} {text}"),
        )
    listed = [{"name": each.name, "accuracy": each.accuracy, "bytes": each.bytes} for each in trained]
    rows = tuple((each.name, f"{100 * each.accuracy:.2f} %", str(each.bytes)) for each in trained)
    errors = [
        LimitNotMet(
            f"{each.name}: {100 * each.accuracy:.2f} % right on held-out {chosen.card.held_out}, "
            f"at least {100 * chosen.required_accuracy:g} % asked"
        )
        for each in recipe.too_weak(chosen, trained)
    ]
    return Result(
        data={"trained": listed, "out": str(into)},
        tables=[Table(f"Held-out {chosen.card.held_out}", ("name", "right", "bytes"), rows)],
        errors=errors,
    )


@command(group, "imagenet")
def imagenet(
    into: Annotated[Path | None, typer.Option(help="Folder to store them in; the lab's models/ by default.")] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Only these networks, such as squeezenet-1.1; all by default.")
    ] = None,
    lab: LabOption = Path(),
    dry_run: DryRunOption = False,
) -> Result:
    """Convert published networks for ImageNet's 1000 classes to recognizers (needs the extra 'imagenet')."""
    from pipeline.imagenet import add_imagenet_models, published_networks

    folder = into or lab / "models"
    chosen = published_networks(model or ())
    names = [each.name for each in chosen]
    if dry_run:
        return Result(
            data={"would_convert": names, "into": str(folder)},
            lines=[f"would convert {', '.join(names)} into {folder}"],
        )
    with progress_bar("converting") as bar:
        contracts = add_imagenet_models(folder, names, bar)
    listed = [
        {"name": each.name, "family": each.family, "bytes": (folder / each.file).stat().st_size} for each in contracts
    ]
    rows = tuple((each.name, each.family, f"{each.width} px", each.licence) for each in contracts)
    return Result(
        data={"recognizers": listed, "into": str(folder)},
        tables=[Table(f"In {folder}", ("name", "family", "input", "licence"), rows)],
    )


@command(group, "split")
def split(
    photos: PhotosOption,
    out: Annotated[Path, typer.Option(help="Folder to write the held-out photographs to, by class.")],
    dry_run: DryRunOption = False,
) -> Result:
    """Write the photographs of the held-out tracks, which the zoo has never seen, into folders by class."""
    from pipeline.zoo.photos import SPLIT_RULE, extract, find_photos, split_by_track

    found = find_photos(photos)
    held_out = split_by_track(found.photos).held_out
    if not dry_run:
        extract(found, held_out, out)
    data = {"files": len(held_out), "training": len(found.photos) - len(held_out), "out": str(out), "rule": SPLIT_RULE}
    verb = "would write" if dry_run else "wrote"
    return Result(data=data, lines=[f"{verb} {len(held_out)} of {len(found.photos)} photographs to {out}", SPLIT_RULE])


def _read_labels(path: Path) -> list[str]:
    from calibration.files import read_bytes

    try:
        lines = [line.strip() for line in read_bytes(path).decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text: {error}", where=str(path)) from error
    while lines and not lines[-1]:
        lines.pop()
    blank = next((number for number, line in enumerate(lines, 1) if not line), None)
    if blank:
        raise BadInput(f"{path}, line {blank}: an empty label; expected is one label a line", where=str(path))
    return lines


def _triple(text: str, option: str) -> tuple[float, float, float]:
    try:
        numbers = [float(part) for part in text.replace(",", " ").split()]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        raise BadUsage(f"{option} {text!r}: one number or three are expected, such as 0.5 or 0.49,0.46,0.41")
    first, second, third = numbers * 3 if len(numbers) == 1 else numbers
    return first, second, third


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]{1,5})(?:[xX]([0-9]{1,5}))?", text)
    if found is None:
        raise BadUsage(f"--size {text!r}: HEIGHTxWIDTH or one number is expected, in pixels, such as 224x224")
    return int(found[1]), int(found[2] or found[1])
