"""The input contract of a recognizer: how pixels become its tensor. One implementation for scoring and training.

Lives on the ground floor because both siblings' users need it: `pipeline` scores with it, `patches` trains
through it (in torch, parity-tested against this file).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from calibration.errors import BadModel
from calibration.files import Document, read_bytes, sha256_bytes

Layout = Literal["NCHW", "NHWC"]
Output = Literal["logits", "probabilities"]
Offset = Annotated[float, Field(ge=-1e6, le=1e6)]
Scale = Annotated[float, Field(ge=1e-6, le=1e6)]
"""Numbers that stay numbers in float32."""


class SelfTest(Document):
    """Input seed and the logits expected for it, judged when the recognizer is loaded."""

    seed: int
    logits: list[float]
    tolerance: float = Field(default=1e-3, gt=0)


class Contract(Document):
    """What is beside a ``.onnx`` file: preprocessing, labels, provenance, self-test (DESIGN: files on disk).

    The tensor is ``(resized / 255 * range_max - mean) / std`` per channel in ``color`` order, where ``resized`` is
    the RGB uint8 picture squeezed to ``height x width`` with ``resize``. For uint8 models mean, std and range_max are
    not applied.
    """

    format: Literal["dpcam.recognizer"] = "dpcam.recognizer"
    version: Literal[1] = 1
    name: str = Field(max_length=100, pattern=r"^\w[\w.-]*$")
    family: str = "unknown"
    held_out: bool = False
    file: str
    sha256: str
    input_name: str
    height: int = Field(gt=0, le=4096)
    width: int = Field(gt=0, le=4096)
    layout: Layout = "NCHW"
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    fixed_batch: int | None = Field(default=None, ge=1)
    color: Literal["RGB", "BGR"] = "RGB"
    range_max: Scale = 1.0
    mean: tuple[Offset, Offset, Offset] = (0.0, 0.0, 0.0)
    std: tuple[Scale, Scale, Scale] = (1.0, 1.0, 1.0)
    resize: Literal["area", "bilinear"] = "area"
    output: Output = "logits"
    labels: list[str] = Field(min_length=2)
    licence: str = ""
    training_data: str = ""
    self_test: SelfTest | None = None


def model_bytes(contract: Contract, onnx: Path) -> bytes:
    """The content of the ONNX file; :class:`BadModel` when it is not the one that the contract declares."""
    data = read_bytes(onnx)
    if sha256_bytes(data) != contract.sha256:
        raise BadModel(
            f"{onnx.name} is not the file that {contract.name}.json declares: its sha256 differs",
            hint="it was changed or truncated; restore it or add it again",
            where=str(onnx),
        )
    return data


def self_test_images(contract: Contract, seed: int) -> np.ndarray:
    """The picture of a self-test: ``(1, H, W, 3)`` uint8 noise, of the contract's size so that no resizing differs."""
    shape = (1, contract.height, contract.width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def resize_rgb(image: np.ndarray, height: int, width: int, rule: str) -> np.ndarray:
    """Resize ``(H, W, 3)`` uint8 to ``(height, width, 3)``; ``area`` averages when shrinking, else bilinear."""
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    how = cv2.INTER_AREA if rule == "area" and shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))


def to_tensor(images: np.ndarray, contract: Contract) -> np.ndarray:
    """``(B, H, W, 3)`` uint8 RGB, already of the contract's size → the model's input array, contiguous."""
    pixels = images[..., ::-1] if contract.color == "BGR" else images
    if contract.dtype != "uint8":
        scaled = pixels.astype(np.float32) * np.float32(contract.range_max / 255)
        pixels = (scaled - np.array(contract.mean, np.float32)) / np.array(contract.std, np.float32)
    if contract.layout == "NCHW":
        pixels = pixels.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(pixels, dtype=contract.dtype)
