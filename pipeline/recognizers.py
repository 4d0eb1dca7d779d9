"""Recognizers: ONNX models with their contract. The one home of onnxruntime (imported when first needed).

A recognizer is ``NAME.json`` (:class:`calibration.contract.Contract`) beside its ``.onnx`` file. Opening one checks
the file's hash, the provider that really runs, and the stored self-test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any, Literal

import numpy as np

from calibration.contract import (
    Contract,
    model_bytes,
    resize_rgb,
    self_test_images,
    to_tensor,
)
from calibration.errors import BadConfig, BadInput, BadModel, BadUsage, MissingFile, NoProvider
from calibration.files import (
    files_of_format,
    parse_document,
    read_json,
)
from pipeline.inspection import (
    refuse_external_data,
)

Provider = Literal["cpu", "cuda"]

BATCH = 64
FORMAT = "dpcam.recognizer"

# TF32 would round to ten bits of mantissa where the self-test expects more.
PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}


@dataclass(frozen=True, slots=True)
class Recognizer:
    """A declared recognizer: its contract and the folder that holds its files."""

    contract: Contract
    folder: Path

    @property
    def name(self) -> str:
        """The contract's name."""
        return self.contract.name

    @property
    def onnx(self) -> Path:
        """Path of the ONNX file."""
        return self.folder / self.contract.file


@dataclass(frozen=True, slots=True)
class SelfTestOutcome:
    """What a self-test found. ``max_delta`` is the largest |logit - expected|, infinite when none came out."""

    passed: bool
    max_delta: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Runner:
    """A recognizer that is loaded and can be asked."""

    contract: Contract
    session: Any

    def logits(self, images: np.ndarray | Sequence[np.ndarray]) -> np.ndarray:
        """Scores ``(B, n_labels)`` float32 of pictures, as the model gives them.

        ``images`` is ``(B, H, W, 3)`` uint8 RGB of any size, or a sequence of ``(H, W, 3)`` of different sizes.
        Raises :class:`BadModel` when the model fails or gives NaN, infinities or another number of scores.
        """
        return self.logits_of([checked(each) for each in images])

    def logits_of(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """As :meth:`logits`, also for float32 in [0, 1], ``(height, width, 3)`` of the contract, scored as they are."""
        chunks = [self.run(chunk) for chunk in batches(pictures, self.contract.fixed_batch or BATCH)]
        if not chunks:
            return np.zeros((0, len(self.contract.labels)), np.float32)
        return np.concatenate(chunks)

    def run(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """One batch through the contract and the model; :class:`BadModel` where a score is no finite number."""
        return finite_scores(self.answer(to_tensor(self.sized(pictures), self.contract)), self.contract)

    def sized(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """``(B, height, width, 3)`` in levels 0 to 255: uint8, or float32 where a picture is float32."""
        return np.stack([to_size(each, self.contract) for each in pictures])

    def answer(self, tensor: np.ndarray) -> np.ndarray:
        """Scores ``(B, n_labels)`` float32 of one batch as the model gives them, NaN and all.

        ``tensor`` is what :func:`to_tensor` makes of a batch; :class:`BadModel` when the model fails.
        """
        # A model of fixed batch gets the last picture again until the batch is full.
        missing = (self.contract.fixed_batch or 0) - len(tensor)
        full = np.concatenate([tensor, np.repeat(tensor[-1:], missing, axis=0)]) if missing > 0 else tensor
        return checked_scores(run_session(self.session, self.contract, full), self.contract, len(full))[: len(tensor)]


def zoo_folder() -> Path:
    """The folder of the recognizers that dpcam ships."""
    return Path(__file__).parent / "zoo" / "models"


def load_recognizers(folders: Sequence[Path]) -> list[Recognizer]:
    """All recognizers declared in ``folders``, by name within each folder; nothing is run yet.

    Raises :class:`MissingFile` for a folder that is not there, :class:`BadConfig` for a contract that does not
    parse or a name that comes twice.
    """
    found: dict[str, Recognizer] = {}
    for path in (path for folder in folders for path in contract_files(folder)):
        recognizer = load_recognizer(path)
        if recognizer.name in found:
            raise BadConfig(
                f"two recognizers are named {recognizer.name}: in {found[recognizer.name].folder} and in {path.parent}",
                hint="give one of them another name",
                where=str(path),
            )
        found[recognizer.name] = recognizer
    return list(found.values())


def contract_files(folder: Path) -> list[Path]:
    """The JSON files of ``folder`` that call themselves recognizers."""
    if not folder.is_dir():
        raise MissingFile(f"no such folder of recognizers: {folder}", where=str(folder))
    return files_of_format(folder, FORMAT)


def load_recognizer(path: Path) -> Recognizer:
    """The recognizer declared by the contract at ``path``, whose ONNX file must stand beside it."""
    contract = parse_document(read_json(path), Contract, where=str(path))
    if PureWindowsPath(contract.file).name != contract.file:
        raise BadConfig(f"{path}: file: a name without folder is expected, found {contract.file!r}", where=str(path))
    return Recognizer(contract, path.parent)


def open_session(
    recognizer: Recognizer, provider: Provider = "cpu", *, threads: int = 1, verify: bool = True
) -> Runner:
    """Load a recognizer for running, and run its self-test unless ``verify`` is off.

    ``threads`` is for one operation; 0 takes all cores. Raises :class:`MissingFile`, :class:`BadModel` (other bytes
    than declared, cannot be run, self-test failed) or :class:`NoProvider`.
    """
    data = model_bytes(recognizer.contract, recognizer.onnx)
    refuse_external_data(data, recognizer.onnx)
    runner = Runner(recognizer.contract, start_session(data, recognizer.name, provider, threads))
    if verify and recognizer.contract.self_test is not None:
        outcome = self_test(runner)
        if not outcome.passed:
            raise BadModel(f"{recognizer.name} fails its self-test: {outcome.reason}", where=str(recognizer.onnx))
    return runner


def start_session(data: bytes, name: str, provider: Provider, threads: int) -> Any:
    """An onnxruntime session over ``data`` that really runs on ``provider``."""
    import onnxruntime

    # Failures arrive as exceptions; the runtime's own lines on stderr say nothing more.
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by spinning take the cores from other processes: measured, up to a hundred times slower.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = built_in(provider)
    try:
        session = onnxruntime.InferenceSession(data, options, providers=[PROVIDERS[provider]], enable_fallback=0)
    except Exception as error:  # the runtime's exceptions have no base of their own
        raise BadModel(f"{name} cannot be loaded: {first_line(error)}") from error
    # The runtime falls back to the CPU in silence; only the session knows.
    if wanted not in session.get_providers():
        raise no_provider(provider)
    return session


def built_in(provider: str) -> str:
    """The runtime's own word for ``provider``, if this build of the runtime has it at all."""
    import onnxruntime

    if provider not in PROVIDERS:
        raise BadUsage(f"unknown provider {provider!r}; accepted are {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider][0]
    if wanted not in onnxruntime.get_available_providers():
        raise no_provider(provider)
    return wanted


def runtime_version() -> str:
    """The version of onnxruntime that recognizers run in."""
    import onnxruntime

    return str(onnxruntime.__version__)


def require_provider(provider: Provider) -> None:
    """Raise :class:`NoProvider` unless a session really runs on ``provider`` here, tried with a model of one node."""
    start_session(smallest_model(), "the smallest model", provider, 1)


def smallest_model() -> bytes:
    """An ONNX model that gives back what it takes."""
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "smallest", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def no_provider(provider: str) -> NoProvider:
    """The error for a provider that is not there."""
    return NoProvider(
        f"the execution provider {provider!r} does not work on this machine",
        hint="use cpu, or install what the provider needs",
    )


def first_line(error: Exception) -> str:
    """The first line of a foreign error."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def batches(images: np.ndarray | Sequence[np.ndarray], size: int) -> Iterator[Sequence[np.ndarray]]:
    """Pictures in order, ``size`` at a time."""
    for start in range(0, len(images), size):
        yield list(images[start : start + size])


def checked(image: np.ndarray) -> np.ndarray:
    """The picture itself, if it is ``(H, W, 3)`` uint8 with something in it."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise BadInput(f"a picture is (H, W, 3) uint8, found {image.shape} {image.dtype}")
    return image


def to_size(picture: np.ndarray, contract: Contract) -> np.ndarray:
    """One picture as ``(height, width, 3)`` in levels 0 to 255: uint8 resized, float32 in [0, 1] as it is."""
    if picture.dtype == np.uint8:
        return resize_rgb(checked(picture), contract.height, contract.width, contract.resize)
    size = (contract.height, contract.width, 3)
    if picture.dtype != np.float32 or picture.shape != size:
        raise BadInput(f"{contract.name} takes float32 pictures of {size}, found {picture.shape} {picture.dtype}")
    levels = picture * np.float32(255)
    return np.rint(levels).clip(0, 255).astype(np.uint8) if contract.dtype == "uint8" else levels


def run_session(session: Any, contract: Contract, tensor: np.ndarray) -> np.ndarray:
    """The model's only output for ``tensor``."""
    try:
        return np.asarray(session.run(None, {contract.input_name: tensor})[0])
    except Exception as error:  # the runtime's exceptions have no base of their own
        raise BadModel(f"{contract.name} cannot be run: {first_line(error)}") from error


def checked_scores(scores: np.ndarray, contract: Contract, batch: int) -> np.ndarray:
    """The scores as float32, if there is a line for each picture, with as many as there are labels."""
    if scores.ndim != 2 or len(scores) != batch:
        raise BadModel(f"{contract.name} gives scores of shape {scores.shape}; ({batch}, labels) is expected")
    if scores.shape[1] != len(contract.labels):
        raise BadModel(f"{contract.name} gives {scores.shape[1]} scores, labels name {len(contract.labels)}")
    return scores.astype(np.float32)


def finite_scores(scores: np.ndarray, contract: Contract) -> np.ndarray:
    """The scores, if all of them are numbers."""
    if not np.isfinite(scores).all():
        raise BadModel(not_finite(contract))
    return scores


def not_finite(contract: Contract) -> str:
    """What to say of a model that does not answer in numbers."""
    return f"{contract.name} gives scores that are NaN or infinite"


def self_test(runner: Runner) -> SelfTestOutcome:
    """Run the stored self-test: the picture of its seed must give the logits that were stored."""
    test = runner.contract.self_test
    if test is None:
        return SelfTestOutcome(False, float("inf"), "no self-test is stored")
    try:
        scores = runner.logits(self_test_images(runner.contract, test.seed))[0]
    except BadModel as error:
        return SelfTestOutcome(False, float("inf"), error.message)
    if len(scores) != len(test.logits):
        return SelfTestOutcome(False, float("inf"), f"{len(test.logits)} logits are stored, {len(scores)} came")
    delta = float(np.abs(scores - np.array(test.logits, np.float32)).max())
    if delta <= test.tolerance:
        return SelfTestOutcome(True, delta)
    return SelfTestOutcome(False, delta, f"off by {delta:.3g}, allowed is {test.tolerance:.3g}")


def check_recognizer(recognizer: Recognizer, provider: Provider = "cpu") -> SelfTestOutcome:
    """Open a recognizer and run its self-test; a missing or damaged file is a failed test, not an error."""
    try:
        return self_test(open_session(recognizer, provider, verify=False))
    except (BadModel, MissingFile) as error:
        return SelfTestOutcome(False, float("inf"), error.message)
