"""``dpcam bench patches`` behind its command: from words to a plan, from verdicts to an answer."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import get_args

from calibration.errors import BadUsage
from patches.attacks import attack_named
from pipeline.patch_bench.datasets import DATASETS, Shape, data_places, open_dataset
from pipeline.patch_bench.effort import FULL, QUICK, STANDARD, Effort
from pipeline.patch_bench.files import as_data, gains_by_method, short_noises, side, write_tables
from pipeline.patch_bench.plan import BenchPlan, Precision, check_controls, make_plan
from pipeline.patch_bench.run import Progress, outlook, run_bench
from pipeline.patch_bench.tables import Tables, make_tables
from pipeline.patch_bench.variants import chosen_variants
from pipeline.recognizers import load_recognizers, zoo_folder
from pipeline.result import Result, Table

NONE = "none"


@dataclass(frozen=True, slots=True)
class Asked:
    """What was typed."""

    dataset: str
    data: Path | None
    models: Path | None
    more_models: Path | None
    held_out: tuple[str, ...]
    methods: tuple[str, ...]
    controls: tuple[str, ...]
    seeds: int | None
    classes: tuple[str, ...]
    attacks: tuple[str, ...]
    steps: int | None
    pictures: int | None
    frame: str | None
    area: float | None
    quick: bool
    standard: bool
    ablation: bool
    work: Path
    seed: int
    device: str
    precision: Precision


def ask_for(asked: Asked, *, data_folder: str | None, where: Path) -> BenchPlan:
    """The plan for what was typed; what is wrong with the words is said before anything is looked for."""
    effort = effort_of(asked)
    controls = () if asked.controls == (NONE,) else asked.controls or effort.controls
    check_controls(controls)
    variants = chosen_variants(asked.methods, with_ablation=asked.ablation)
    models = models_folder(asked)
    dataset = open_dataset(asked.dataset, asked.data, data_places(data_folder, where), asked.work)
    return make_plan(
        dataset,
        load_recognizers([models, *([asked.more_models] if asked.more_models else [])]),
        variants,
        controls,
        effort,
        shape=frame_named(asked.frame),
        area=asked.area,
        seed=asked.seed,
        work=asked.work,
        device=asked.device,
        precision=asked.precision,
        held_out=asked.held_out,
    )


def frame_named(name: str | None) -> Shape | None:
    """The shape of that name; :class:`BadUsage` for one that there is not."""
    shapes = get_args(Shape)
    if name is not None and name not in shapes:
        raise BadUsage(f"--frame {name}: {' or '.join(shapes)} is expected")
    return name  # type: ignore[return-value]


def effort_of(asked: Asked) -> Effort:
    """The size that was asked for, with what was said about it."""
    if asked.quick and asked.standard:
        raise BadUsage("--quick and --standard are two sizes; one is expected")
    effort = QUICK if asked.quick else STANDARD if asked.standard else FULL
    attacks = None if not asked.attacks else () if asked.attacks == (NONE,) else known_attacks(asked.attacks)
    said = {"seeds": asked.seeds, "steps": asked.steps, "attacks": attacks, "classes": classes_asked(asked.classes)}
    if asked.pictures is not None:
        said |= {"pictures": asked.pictures, "attacked": min(asked.pictures, effort.attacked)}
    changes = {name: value for name, value in said.items() if value is not None}
    return replace(effort, **changes) if changes else effort  # type: ignore[arg-type]


def classes_asked(words: tuple[str, ...]) -> int | tuple[str, ...] | None:
    """A single number is how many, other words are names, no word says nothing."""
    if len(words) == 1 and words[0].isdecimal():
        return int(words[0])
    return words or None


def known_attacks(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, once each; :class:`BadInput` for one that is no attack."""
    return tuple(dict.fromkeys(str(attack_named(name)) for name in names))


def models_folder(asked: Asked) -> Path:
    """The recognizers that were named, or dpcam's own for the data set."""
    if asked.models is not None:
        return asked.models
    if asked.dataset not in DATASETS:
        raise BadUsage(
            f"--dataset {asked.dataset}: for pictures of one's own, --models is expected, a folder of recognizers"
        )
    if asked.dataset == "imagenet":
        raise BadUsage("--dataset imagenet: --models DIR is expected, made by dpcam models imagenet --into DIR")
    return zoo_folder().parent / "objects" / "models" if asked.dataset == "cifar10" else zoo_folder()


def dry_result(plan: BenchPlan) -> Result:
    """How much there is to do."""
    found = outlook(plan)
    data = {
        "dataset": plan.dataset.name,
        "classes": list(plan.classes),
        "patches": found.patches,
        "patches_kept": found.patches_kept,
        "arms": found.arms,
        "work": str(plan.work),
    }
    lines = [f"would train {found.patches - found.patches_kept} of {found.patches} patches, judge {found.arms} arms"]
    return Result(data=data, lines=lines)


def bench_result(plan: BenchPlan, out: Path, *, jobs: int, progress: Progress) -> Result:
    """Run the bench, write its files, and answer with the tables."""
    tables = make_tables(run_bench(plan, jobs=jobs, progress=progress))
    files = asdict(write_tables(plan, tables, out))
    data = {
        **as_data(plan, tables),
        "dataset": plan.dataset.name,
        "classes": list(plan.classes),
        "effort": plan.effort.name,
        "area": round(plan.area, 6),
        "seed": plan.seed,
        "files": {name: str(path) for name, path in files.items()},
    }
    return Result(data=data, lines=[str(path) for path in files.values()], tables=_for_people(tables))


def _for_people(tables: Tables) -> list[Table]:
    noises = short_noises(tables)
    return [
        Table(
            f"Points over bare, {side(held_out)}",
            ("arm", *noises),
            tuple(gains_by_method([each for each in tables.gains if each.held_out == held_out], noises)),
        )
        for held_out in sorted({each.held_out for each in tables.gains}, reverse=True)
    ]
