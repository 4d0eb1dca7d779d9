"""The model card of a recognizer of the zoo."""

from __future__ import annotations

from pipeline.zoo.manifest import ZooResult
from pipeline.zoo.subjects import Subject

LICENCE = "Apache-2.0"
"""Licence of the weights."""

CARD = """\
# {name}

A small recognizer of {title} ({n_labels} classes), family {family}. {role}

- File: `{name}.onnx`, {bytes:,} bytes, sha256 `{sha256}`
- Trained on {trained_on:,} {data}
- Split: {split}
- Recipe: `{command}`, seed {seed}, {epochs} epochs. Augmentation: {augmentation}
- Licence of the weights: {licence}. The photographs are not part of dpcam and keep the terms of the benchmark
- Meant for the evaluation of patches. {warning}

## Accuracy on held-out {held_out}

Overall {accuracy:.2%}: {correct:,} of {judged_on:,} photographs, measured on the ONNX file.{remark}

| class | name | photographs | right | accuracy |
|---:|---|---:|---:|---:|
{rows}
"""


def model_card(result: ZooResult, subject: Subject) -> str:
    """The model card in Markdown; it says nothing about when or where it was made."""
    words = subject.card
    return CARD.format(
        **result.model_dump(exclude={"held_out"}),
        accuracy=result.accuracy,
        n_labels=len(subject.labels),
        title=words.title,
        role=role_of(result),
        data=subject.data,
        split=subject.manifest().split,
        command=words.command,
        augmentation=words.augmentation,
        licence=LICENCE,
        warning=words.warning,
        held_out=words.held_out,
        remark=words.remark,
        rows="\n".join(_row(k, subject.labels[k], *counts) for k, counts in enumerate(result.per_class)),
    )


def role_of(result: ZooResult) -> str:
    """Whether patches may be trained on it, and whether it was trained against attacks."""
    role = (
        "Held out: no patch that ships may be trained on it."
        if result.held_out
        else "A surrogate: patches may be trained on it."
    )
    if not result.attack_levels:
        return role
    return f"{role} Hardened: trained against attacks of {result.attack_levels:g} of 255 levels, which costs accuracy."


def _row(label: int, name: str, right: int, n: int) -> str:
    rate = f"{right / n:.1%}" if n else "none held out"
    return f"| {label} | {name} | {n} | {right} | {rate} |"
