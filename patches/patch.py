"""The patch: trained pixels with their geometry and provenance. A PNG of texels and a JSON beside it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from calibration.errors import BadImage, BadInput
from calibration.files import Document, read_bytes, read_document, sha256_bytes, write_bytes, write_document
from calibration.geometry import centered_box
from calibration.region import Sticker

Texture = NDArray[np.uint8]
MAX_TARGET_MM = 5000.0
MAX_TEXELS = 4096
EDGE_TOLERANCE_MM = 0.01
NAME = re.compile(r"\w[\w.-]*")


class PatchGeometry(Document):
    """A frame around a target, in mm: the target's width, the frame's inner and outer edge, the texel.

    A square frame is all between its edges. One of any other shape says with ``sticker`` where it is printed and what
    is cut out of it, in mm from its center; the edges are then those of the squares around its window and around it.
    :mod:`patches.frames` makes them.
    """

    target_mm: float = Field(default=120.0, gt=0, le=MAX_TARGET_MM)
    inner_mm: float = Field(default=124.0, gt=0, le=10_000)
    outer_mm: float = Field(default=160.0, gt=0, le=10_000)
    texel_mm: float = Field(default=2.0, gt=0, le=1000)
    sticker: Sticker | None = None

    @model_validator(mode="after")
    def _nested(self) -> PatchGeometry:
        if not self.target_mm <= self.inner_mm < self.outer_mm:
            raise ValueError(
                f"target <= inner < outer is expected, got {self.target_mm:g}, {self.inner_mm:g}, {self.outer_mm:g} mm"
            )
        if self.texels < 2:
            raise ValueError(
                f"a frame of {self.outer_mm:g} mm needs more than one texel, got {self.texel_mm:g} mm each"
            )
        if self.texels > MAX_TEXELS:
            raise ValueError(
                f"texels of {self.texel_mm:g} mm are {self.texels} along {self.outer_mm:g} mm; "
                f"{MAX_TEXELS} are accepted"
            )
        return self

    @model_validator(mode="after")
    def _sticker_within(self) -> PatchGeometry:
        for part in (self.sticker.printed, self.sticker.window) if self.sticker else ():
            if np.abs(part.box.corners_mm).max() > self.outer_mm / 2 + EDGE_TOLERANCE_MM:
                raise ValueError(f"the sticker reaches beyond its square of {self.outer_mm:g} mm")
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A square frame is written as it was before there were others."""
        written: dict[str, Any] = handler(self)
        if self.sticker is None:
            written.pop("sticker", None)
        return written

    @property
    def texels(self) -> int:
        """Texels along the outer edge."""
        return round(self.outer_mm / self.texel_mm)

    @classmethod
    def around(cls, target_mm: float, aspect: float = 1.0) -> PatchGeometry:
        """The default frame, scaled to the longer side of a target of that width; 80 texels along its edge.

        :class:`BadInput` when the width is not positive or larger than any target.
        """
        longer_mm = target_mm * max(aspect, 1.0)
        if not 0 < longer_mm <= MAX_TARGET_MM:
            raise BadInput(f"a target is more than 0 and at most {MAX_TARGET_MM:g} mm wide and high, got {longer_mm:g}")
        default = cls()
        scale = longer_mm / default.target_mm
        return cls(
            target_mm=target_mm,
            inner_mm=default.inner_mm * scale,
            outer_mm=default.outer_mm * scale,
            texel_mm=default.texel_mm * scale,
        )

    def scaled(self, factor: float) -> PatchGeometry:
        """The same frame, printed larger or smaller."""
        return PatchGeometry(
            target_mm=self.target_mm * factor,
            inner_mm=self.inner_mm * factor,
            outer_mm=self.outer_mm * factor,
            texel_mm=self.texel_mm * factor,
            sticker=self.sticker.scaled(factor) if self.sticker else None,
        )

    @property
    def share(self) -> float:
        """The share of the picture, which is the square around the frame, that the patch covers."""
        if self.sticker:
            return self.sticker.printed.area_mm2 / self.outer_mm**2
        return 1 - (self.inner_mm / self.outer_mm) ** 2

    def ring(self) -> NDArray[np.bool_]:
        """``(n, n)`` texels, True where the frame is: a texel belongs to a square frame when its center does.

        It belongs to one of another shape when at least half of it does.
        """
        if self.sticker:
            square = centered_box(np.zeros(2), self.outer_mm, self.outer_mm)
            return self.sticker.printed.coverage(square, self.texels, self.texels) >= 0.5
        centers = (np.arange(self.texels) + 0.5) * self.outer_mm / self.texels - self.outer_mm / 2
        hole = np.abs(centers) < self.inner_mm / 2
        return ~(hole[:, None] & hole[None, :])


class Surrogate(Document):
    """A recognizer that took part: its name and the sha256 of its ONNX file, or of a torch module's weights."""

    name: str
    sha256: str


class CurvePoint(Document):
    """One point of the training curve; accuracies are means over recognizers, None where there are none."""

    step: int
    loss: float
    surrogate_accuracy: float | None = None
    held_out_accuracy: float | None = None


class PatchDocument(Document):
    """The JSON of a patch. ``label`` is its class; of a patch for several, the ``group``'s name.

    ``warning`` says why a guard ended the training early; empty when none did.
    """

    format: Literal["dpcam.patch"] = "dpcam.patch"
    version: Literal[1] = 1
    name: str
    label: str
    method: str
    geometry: PatchGeometry
    texture: str
    texture_sha256: str
    spec_sha256: str
    seed: int
    steps: int
    surrogates: list[Surrogate]
    held_out: list[Surrogate] = Field(default_factory=list)
    versions: dict[str, str] = Field(default_factory=dict)
    curve: list[CurvePoint] = Field(default_factory=list)
    group: list[str] = Field(default_factory=list)
    warning: str = ""


def encode_texture(texture: Texture, geometry: PatchGeometry) -> bytes:
    """``(n, n, 3)`` uint8 RGB → PNG bytes with alpha 0 in the window; :class:`BadInput` when size or type differ."""
    size = geometry.texels
    if texture.shape != (size, size, 3) or texture.dtype != np.uint8:
        raise BadInput(f"a texture of {size}x{size}x3 uint8 is expected, got {texture.shape} {texture.dtype}")
    alpha = np.where(geometry.ring(), 255, 0).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.dstack([texture, alpha])).save(stream, format="PNG", optimize=False)
    return stream.getvalue()


def write_patch(folder: Path, texture: Texture, document: PatchDocument) -> Path:
    """Write ``<name>.png`` and then ``<name>.json``; returns the JSON's path. The document's hash is set here."""
    if not NAME.fullmatch(document.name):
        raise BadInput(f"{document.name!r} is no name for a patch: letters, digits, '.', '_' and '-' are accepted")
    data = encode_texture(texture, document.geometry)
    named = document.model_copy(
        update={"texture": f"{document.name}.png", "texture_sha256": sha256_bytes(data)},
    )
    write_bytes(folder / named.texture, data)
    write_document(folder / f"{document.name}.json", named)
    return folder / f"{document.name}.json"


def read_patch(path: Path) -> tuple[PatchDocument, Texture]:
    """Read a patch's JSON and its texture ``(n, n, 3)`` uint8 RGB.

    :class:`BadImage` when the texture is not the one that the JSON declares, or has another size.
    """
    document = read_document(path, PatchDocument)
    if Path(document.texture).name != document.texture:
        raise BadInput(f"{path}: texture: a file name without folder is expected, found {document.texture!r}")
    file = path.with_name(document.texture)
    data = read_bytes(file)
    if sha256_bytes(data) != document.texture_sha256:
        raise BadImage(f"{file.name} is not the texture that {path.name} declares: its sha256 differs", where=str(file))
    try:
        pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.uint8)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadImage(f"{file} cannot be decoded: {error}", where=str(file)) from error
    size = document.geometry.texels
    if pixels.shape != (size, size, 3):
        raise BadImage(f"{file.name} is {pixels.shape[1]}x{pixels.shape[0]}, {size}x{size} texels are declared")
    return document, pixels
