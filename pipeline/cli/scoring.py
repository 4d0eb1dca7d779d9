"""``dpcam score``: what recognizers say to the pictures of a session or a folder; rows and tables of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from calibration.errors import BadUsage, DpcamError, Incomplete
from pipeline.cli.command import LabOption, SeedOption, command
from pipeline.cli.context import enter_lab
from pipeline.cli.output import progress_bar
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.recognizers import Provider, Recognizer
    from pipeline.scoring.engine import Limits
    from pipeline.scoring.numerical import NumericalNoise
    from pipeline.scoring.run import Scores
    from pipeline.scoring.score import Noise, Row, Sample
    from pipeline.scoring.views import ViewOrder
    from pipeline.statistics import Effect

NAMED = 5
REASONS = 3
"""Of failures, said in the error; each answer has its own."""

ModelsOption = Annotated[
    list[str] | None, typer.Option("--models", help="Only these recognizers; repeat, or separate by commas.")
]
ViewsOption = Annotated[str, typer.Option(help="natural, rectified, object, frame, untagged, by commas; of a session.")]
JitterOption = Annotated[int, typer.Option(help="Also so many natural views, each cut a little off.", min=0)]
NoisesOption = Annotated[
    str, typer.Option(help="Also through these, by commas: fog, ... or corruptions for all; attacks as pgd10-4.")
]
SeveritiesOption = Annotated[str, typer.Option(help="Of the corruptions, 1 to 5, by commas.")]
NoiseAtOption = Annotated[
    Literal["input", "camera"], typer.Option(help="Corrupt what the recognizer gets, or what the camera gave.")
]
ProviderOption = Annotated[Literal["cpu", "cuda"], typer.Option(help="Execution provider, enforced.")]


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    command(app, "score")(score)


def score(
    session: Annotated[Path | None, typer.Argument(help="The session folder.", metavar="[SESSION]")] = None,
    images: Annotated[Path | None, typer.Option(help="Score this folder of pictures instead of a session.")] = None,
    class_from_folder: Annotated[
        bool, typer.Option("--class-from-folder", help="A picture's class is its folder's name: label or index.")
    ] = False,
    label: Annotated[str | None, typer.Option(help="The class that all pictures of --images show.")] = None,
    models: ModelsOption = None,
    views: ViewsOption = "natural",
    jitter: JitterOption = 0,
    noises: NoisesOption = "",
    severities: SeveritiesOption = "3,4,5",
    noise_at: NoiseAtOption = "input",
    provider: ProviderOption = "cpu",
    workers: Annotated[
        int | None, typer.Option(help="Threads side by side; as many as there are cores.", min=1, max=256)
    ] = None,
    numerical_noise: Annotated[
        bool, typer.Option("--numerical-noise", help="Also measure how far answers move when nothing changed.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="With --images: keep the answers in this folder.")] = None,
    lab: LabOption = Path(),
    seed: SeedOption = None,
) -> Result:
    """Score a session, or a folder of pictures, with every recognizer of the bench. A rerun goes on where one ended."""
    from pipeline.lab import select_recognizers
    from pipeline.recognizers import require_provider
    from pipeline.scoring.engine import cores

    _refuse(session, images, class_from_folder=class_from_folder, label=label, out=out, viewed=views, jitter=jitter)
    require_provider(provider)
    entered = enter_lab(lab, required=False)
    recognizers = select_recognizers(entered.recognizers(), model_names(models))
    drawn = entered.config.lab.seed if seed is None else seed
    asked = _Asked(
        recognizers, provider, named_noises(noises, severities, noise_at, drawn), workers or cores(), numerical_noise
    )
    if images is not None:
        return _score_images(asked, images, class_from_folder, label, out)
    return _score_session(asked, session or Path(), views, jitter, drawn)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of the pictures, wherever they come from."""

    recognizers: Sequence[Recognizer]
    provider: Provider
    noises: Sequence[Noise]
    workers: int
    numerical: bool

    @property
    def limits(self) -> Limits:
        from pipeline.scoring.engine import Limits

        return Limits(workers=self.workers)


def _refuse(
    session: Path | None,
    images: Path | None,
    *,
    class_from_folder: bool,
    label: str | None,
    out: Path | None,
    viewed: str,
    jitter: int,
) -> None:
    """Raise :class:`BadUsage` for options that do not go together."""
    if (session is None) == (images is None):
        raise BadUsage("give either a SESSION or --images FOLDER")
    if session and (class_from_folder or label or out):
        raise BadUsage("--class-from-folder, --label and --out go with --images: a session knows its classes")
    if class_from_folder and label:
        raise BadUsage("--class-from-folder and --label exclude each other")
    if images and (viewed != "natural" or jitter):
        raise BadUsage("--views and --jitter go with a SESSION: nobody knows where in --images the stickers are")


def _score_images(asked: _Asked, images: Path, class_from_folder: bool, label: str | None, out: Path | None) -> Result:
    from pipeline.scoring.run import score_folder
    from pipeline.scoring.sources import list_folder

    folder = list_folder(images, class_from_folder=class_from_folder, label=label)
    with progress_bar("scoring") as bar:
        scores = score_folder(
            folder,
            asked.recognizers,
            asked.provider,
            out,
            lambda done: bar(done / len(folder.files), str(done)),
            noises=asked.noises,
            limits=asked.limits,
        )
    result = _score_result(scores, _numerical(asked, folder.samples))
    left = [f"ignored, as no pictures by their names: {', '.join(_first(folder.ignored))}"] if folder.ignored else []
    return replace(result, data={**result.data, "ignored": list(folder.ignored)}, lines=[*result.lines, *left])


def _score_session(asked: _Asked, session: Path, viewed: str, jitter: int, seed: int) -> Result:
    from capture.session import read_session
    from pipeline.scoring.run import score_session, shown_samples

    opened = read_session(session)
    views = view_order(viewed, jitter, seed)
    total = max(len(opened.frames), 1)
    with progress_bar("scoring") as bar:
        scores = score_session(
            opened,
            asked.recognizers,
            asked.provider,
            lambda done: bar(done / total, str(done)),
            views=views,
            noises=asked.noises,
            limits=asked.limits,
        )
    result = _score_result(scores, _numerical(asked, lambda: shown_samples(opened, None, lambda done: None)))
    both = views is not None and {"natural", "untagged"} <= set(views.names)
    return _with_tag_influence(result, scores, opened.header.seed) if both else result


def _with_tag_influence(result: Result, scores: Scores, seed: int) -> Result:
    """And what the marks around the sticker do to the answers."""
    from pipeline.scoring.tag_influence import tag_influence

    found = tag_influence(scores.answers, seed=seed)
    rows = tuple(
        (each.model, str(each.pictures), str(each.helped), str(each.harmed), _points(each.effect)) for each in found
    )
    columns = ("recognizer", "pictures", "right only with", "right only without", "points")
    table = Table("Influence of tags and other marks", columns, rows)
    data = {**result.data, "tag_influence": [asdict(each) for each in found]}
    return replace(result, data=data, tables=[*result.tables, table])


def view_order(viewed: str, jitter: int, seed: int) -> ViewOrder | None:
    """The views that are asked for; None for the natural one alone."""
    names = words(viewed, "--views")
    if names == ("natural",) and not jitter:
        return None
    from pipeline.scoring.views import ViewOrder

    return ViewOrder(names, jitter, seed)


def named_noises(names: str, severities: str, place: Literal["input", "camera"], seed: int) -> Sequence[Noise]:
    """The noises that are asked for."""
    if not names.strip():
        return ()
    from pipeline.scoring.noised import noises_named

    return noises_named(words(names, "--noises"), severity_numbers(severities), seed=seed, place=place)


def severity_numbers(text: str) -> list[int]:
    """The severities that are asked for."""
    numbers = words(text, "--severities")
    wrong = next((each for each in numbers if each not in ("1", "2", "3", "4", "5")), None)
    if wrong:
        raise BadUsage(f"--severities: whole numbers from 1 to 5 are expected, found {wrong!r}", where="--severities")
    return [int(each) for each in numbers]


def _numerical(asked: _Asked, samples: Callable[[], Iterable[Sample]]) -> list[NumericalNoise] | None:
    if not asked.numerical:
        return None
    from pipeline.scoring.numerical import measure_noise, some_crops

    return measure_noise(some_crops(samples()), asked.recognizers, asked.provider)


def words(text: str, option: str) -> tuple[str, ...]:
    """What stands between commas, each once; :class:`BadUsage` for nothing."""
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not found:
        raise BadUsage(f"{option} names nothing", where=option)
    return found


def model_names(models: list[str] | None) -> list[str] | None:
    """The recognizers that were named; None for all."""
    if models is None:
        return None
    names = [name.strip() for each in models for name in each.split(",") if name.strip()]
    if not names:
        raise BadUsage("--models names no recognizer", where="--models")
    return names


def score_table(rows: Sequence[Row]) -> Table:
    """Recognizers down, arms across: the share of right answers with its 95 % interval, in percent.

    Of the pictures as a detector would cut them, with nothing put before them.
    """
    primary = [row for row in rows if (row.view, row.noise) == ("natural", "none")]
    arms = list(dict.fromkeys(row.arm for row in primary))
    by_place = {(row.model, row.arm): row for row in primary}
    models = sorted({(row.held_out, row.model) for row in primary})
    cells = tuple(
        (f"{model}\n{'held out' if held_out else ''}", *(_cell(by_place.get((model, arm))) for arm in arms))
        for held_out, model in models
    )
    return Table("Right answers, %, with 95 % interval", ("recognizer", *arms), cells)


def change_table(rows: Sequence[Row]) -> Table | None:
    """Views and noises down, arms across: right answers of all recognizers of a kind together; None for one alone."""
    groups: dict[tuple[str, str, int, bool], dict[str, list[Row]]] = {}
    for row in rows:
        key = (row.view, row.noise, row.severity, row.held_out)
        groups.setdefault(key, {}).setdefault(row.arm, []).append(row)
    if len({key[:3] for key in groups}) < 2:
        return None
    arms = list(dict.fromkeys(row.arm for row in rows))
    cells = tuple(
        (
            view,
            f"{noise} {severity}" if severity else noise,
            "held out" if held_out else "surrogates",
            *(_pooled(by_arm.get(arm, [])) for arm in arms),
        )
        for (view, noise, severity, held_out), by_arm in groups.items()
    )
    return Table("Right answers by view and noise, %", ("view", "noise", "recognizers", *arms), cells)


def count_lines(rows: Sequence[Row]) -> list[str]:
    """How many shots the rates stand on, and what is not in them, with its denominator."""
    counts = sorted({row.scored for row in rows})
    shots = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}" if counts else "no"
    lines = [f"each rate over {shots} scored pictures"]
    for name, key in (("missed", "missed"), ("not applicable", "not_applicable"), ("failed", "failed")):
        found = [f"{getattr(row, key)} of {row.n} ({_named(row)})" for row in rows if getattr(row, key)]
        lines += [f"{name}: {', '.join(found[:6])}{' ...' if len(found) > 6 else ''}"] if found else []
    return lines


def _named(row: Row) -> str:
    changed = [row.view] if row.view != "natural" else []
    changed += [f"{row.noise} {row.severity}" if row.severity else row.noise] if row.noise != "none" else []
    return ", ".join([row.arm, row.model, *changed])


def _score_result(scores: Scores, numerical: Sequence[NumericalNoise] | None) -> Result:
    data = {
        "files": scores.files,
        "rows": [asdict(row) for row in scores.rows],
        "scores": str(scores.path) if scores.path else None,
        "provider": scores.provider,
        "onnxruntime": scores.runtime,
    }
    if numerical is not None:
        data["numerical_noise"] = [asdict(each) for each in numerical]
    tables = [score_table(scores.rows), change_table(scores.rows), _numerical_table(numerical or ())]
    return Result(
        data=data,
        tables=[table for table in tables if table],
        lines=[f"{scores.files} pictures, {scores.provider}, onnxruntime {scores.runtime}", *count_lines(scores.rows)],
        errors=_failures(scores),
    )


def _failures(scores: Scores) -> list[DpcamError]:
    """One error for all answers that failed, with the most frequent reasons."""
    if not scores.failures:
        return []
    count = sum(number for _, number in scores.failures)
    shown = [f"{reason} ({number})" for reason, number in scores.failures[:REASONS]]
    more = f"; and {len(scores.failures) - REASONS} other reasons" if len(scores.failures) > REASONS else ""
    return [Incomplete(f"{count} answers failed: {'; '.join(shown)}{more}", where=scores.failures[0][0])]


def _numerical_table(numerical: Sequence[NumericalNoise]) -> Table | None:
    if not numerical:
        return None
    cells = tuple(
        (
            each.model,
            str(each.crops),
            *(_small(value) for value in (each.repeat, each.batch, each.threads, each.provider)),
            each.reason or str(each.changed),
        )
        for each in numerical
    )
    heads = ("recognizer", "crops", "again", "64 at once", "all cores", "on the CPU", "labels changed")
    return Table("Numerical noise: largest change of a probability", heads, cells)


def _points(effect: Effect | None) -> str:
    return f"{effect.points:+.1f} ({effect.low:+.1f} to {effect.high:+.1f})" if effect else "–"


def _first(names: Sequence[str]) -> list[str]:
    return [*names[:NAMED], *(["..."] if len(names) > NAMED else [])]


def _small(value: float | None) -> str:
    return "–" if value is None else f"{value:.1e}" if value else "0"


def _pooled(rows: Sequence[Row]) -> str:
    judged = [row for row in rows if row.correct is not None]
    correct = sum(row.correct or 0 for row in judged)
    total = sum(round((row.correct or 0) / row.rate) if row.rate else row.scored for row in judged)
    return f"{100 * correct / total:.1f}" if total else "–"


def _cell(row: Row | None) -> str:
    if row is None or row.rate is None or row.low is None or row.high is None:
        return "–"
    return f"{100 * row.rate:.1f}\n{100 * row.low:.0f}–{100 * row.high:.0f}"
