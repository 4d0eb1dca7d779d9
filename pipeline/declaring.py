"""Declaring a recognizer: a foreign ONNX file is inspected, run, and stored with its contract and self-test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from calibration.contract import Contract, Layout, Output, SelfTest, self_test_images
from calibration.errors import BadInput, BadModel
from calibration.files import parse_document, read_bytes, sha256_bytes, write_bytes, write_document
from pipeline.inspection import ModelFacts, decide_layout, decide_output, decide_size, inspect_model
from pipeline.recognizers import Recognizer, Runner, load_recognizer, start_session

SELF_TEST_SEED = 43


def add_model(
    onnx: Path,
    into: Path,
    *,
    name: str,
    labels: Sequence[str],
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
    range_max: float = 1.0,
    color: Literal["RGB", "BGR"] = "RGB",
    layout: Layout | None = None,
    resize: Literal["area", "bilinear"] = "area",
    size: tuple[int, int] | None = None,
    family: str = "unknown",
    held_out: bool = False,
    licence: str = "",
    training_data: str = "",
    output: Output | None = None,
) -> Contract:
    """Declare the model at ``onnx`` as recognizer ``name`` in the folder ``into``: inspect, run, store.

    ``size`` is (height, width) in px, needed only where the model leaves it open; ``layout`` None infers it from
    where the three channels stand, ``output`` None from the scores themselves. The model is stored as one file with a
    self-test. Adding the same again changes nothing. Raises :class:`MissingFile`, :class:`BadModel`, :class:`BadInput`
    (no labels, name taken) or :class:`BadConfig` (a value that no contract may hold).
    """
    if not labels:
        raise BadInput(
            f"labels are missing for {onnx.name}", hint="give --labels: a file with one label a line, in order"
        )
    facts = inspect_model(onnx)
    refuse_normalized_bytes(facts, mean, std)
    decided = decide_layout(facts, layout)
    height, width = decide_size(facts, decided, size)
    declared = {
        "name": name,
        "family": family,
        "held_out": held_out,
        "file": f"{name}.onnx",
        "sha256": sha256_bytes(facts.data),
        "input_name": facts.input_name,
        "height": height,
        "width": width,
        "layout": decided,
        "dtype": facts.dtype,
        "fixed_batch": facts.batch,
        "color": color,
        "range_max": range_max,
        "mean": mean,
        "std": std,
        "resize": resize,
        "labels": list(labels),
        "licence": licence,
        "training_data": training_data,
    }
    contract = parse_document(declared, Contract, where=f"recognizer {name}")
    session = start_session(facts.data, onnx.name, "cpu", 1)
    test = record_self_test(contract, session)
    contract = contract.model_copy(update={"self_test": test, "output": decide_output(onnx, output, test.logits)})
    store(contract, facts.data, into)
    return contract


def refuse_normalized_bytes(facts: ModelFacts, mean: Sequence[float], std: Sequence[float]) -> None:
    """A model of uint8 pixels normalizes by itself: a mean or std asked for would be dropped in silence."""
    if facts.dtype == "uint8" and (any(mean) or set(std) != {1.0}):
        raise BadModel(
            f"{facts.path.name} takes uint8 pixels: mean and std cannot be applied",
            hint="leave --mean and --std away",
            where=str(facts.path),
        )


def record_self_test(contract: Contract, session: Any) -> SelfTest:
    """Run the model once alone and, where its batch is open, once among others; store what came out."""
    runner = Runner(contract, session)
    picture = self_test_images(contract, SELF_TEST_SEED)
    scores = runner.logits(picture)[0]
    tolerance = self_test_tolerance(contract, scores)
    if contract.fixed_batch is None:
        among = runner.logits(np.concatenate([picture, picture[:, ::-1]]))[0]
        if not np.abs(among - scores).max() <= tolerance:
            raise BadModel(f"{contract.name} judges a picture differently when others are in the batch")
    return SelfTest(seed=SELF_TEST_SEED, logits=[float(score) for score in scores], tolerance=tolerance)


def self_test_tolerance(contract: Contract, scores: np.ndarray) -> float:
    """What other processors may differ by: 1e-3 for scores of ordinary size, more for large ones and for float16."""
    largest = max(1.0, float(np.abs(scores).max()) / 20)
    return largest * (5e-2 if contract.dtype == "float16" else 1e-3)


def store(contract: Contract, data: bytes, into: Path) -> None:
    """Write model and contract, the contract last, so that one that is there is whole."""
    path = into / f"{contract.name}.json"
    if path.exists():
        if same_recognizer(load_recognizer(path), contract):
            return
        raise BadInput(
            f"another recognizer is named {contract.name} in {into}",
            hint="choose another --name, or remove the old one",
            where=str(path),
        )
    write_bytes(into / contract.file, data)
    write_document(path, contract)


def same_recognizer(present: Recognizer, wanted: Contract) -> bool:
    """Whether what is stored is what is to be stored (its logits may differ as the self-test allows)."""
    if present.contract.model_copy(update={"self_test": wanted.self_test}) != wanted:
        return False
    return present.onnx.is_file() and sha256_bytes(read_bytes(present.onnx)) == wanted.sha256
