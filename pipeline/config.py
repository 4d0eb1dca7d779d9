"""Configuration: flag > ``DPCAM_*`` > lab.toml > user file > default, and where each value came from."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from calibration.errors import BadConfig
from calibration.files import Document, first_problem, read_bytes
from calibration.sheet import ARMS, paper_size_mm
from capture.cameras.watch import Timing
from capture.plan import DistanceMm, TiltDeg
from capture.storage import Storage
from pipeline.gate_config import GateSection
from pipeline.rig_config import RigSection

LAB_FILE = "lab.toml"
ENVIRONMENT_PREFIX = "DPCAM_"
RESERVED = frozenset({"DPCAM_DATA", "DPCAM_BENCH"})
"""Variables of the test suite and the benchmarks, which are no settings."""


class LabSection(Document):
    """Name of the lab and the seed of everything that is random."""

    name: str = "lab"
    seed: int = Field(default=1, ge=0, lt=2**32)


class TargetSection(Document):
    """The object to be recognized. ``artwork``: the user's own SVG, PNG or JPEG instead of dpcam's drawing."""

    label: str = "general-caution"
    artwork: str | None = None
    width_mm: float = Field(default=30.0, gt=0, le=5000)


class OtherCamera(Document):
    """A further camera, which takes every shot together with the first: its address, calibration and settings."""

    uri: str = Field(coerce_numbers_to_str=True)
    calibration: str | None = None
    settings: dict[str, int | float | str] = Field(default_factory=dict)


class CameraSection(Document):
    """The camera's address, and its calibration file (relative to the lab).

    ``settings``: what is set and read back, as ``{exposure = 200, gain = 0}``; ``dpcam camera check`` names them.
    ``others``: further cameras that take every shot together with it, ``[{uri = "..."}, ...]``.

    The rest is of live cameras: after a change ``settle_frames`` pictures are not used; ``read_s`` without a picture is
    a stall; a camera in trouble is waited for ``reconnect_s`` in all; ``frozen_frames`` times the same picture in a row
    is a frozen stream (0: a source without noise, which may stand still).
    """

    uri: str = Field(default="sim:", coerce_numbers_to_str=True)
    calibration: str | None = None
    settings: dict[str, int | float | str] = Field(default_factory=dict)
    others: list[OtherCamera] = Field(default_factory=list, max_length=15)
    settle_frames: int = Field(default=5, ge=0, le=1000)
    read_s: float = Field(default=5.0, gt=0, le=600)
    reconnect_s: float = Field(default=90.0, ge=0, le=86_400)
    frozen_frames: int = Field(default=15, ge=0, le=100_000)

    @property
    def timing(self) -> Timing:
        """How long to wait for it, and what is too much."""
        return Timing(
            read_s=self.read_s,
            reconnect_s=self.reconnect_s,
            settle_frames=self.settle_frames,
            frozen_frames=self.frozen_frames,
        )


class CaptureSection(Storage):
    """How pictures are stored that the camera sends raw; JPEG and PNG of a camera keep their own bytes.

    ``codec``: ``png``, ``webp`` (smaller, slow), ``tiff`` (uncompressed, quick), all lossless. ``auto``: the smallest
    that keeps up with ``frames_per_s``, measured on the first picture of a capture.
    """

    @property
    def storage(self) -> Storage:
        """As a session keeps it."""
        return Storage(codec=self.codec, frames_per_s=self.frames_per_s)


class ModelsSection(Document):
    """Folders with recognizers (relative to the lab), and whether dpcam's own zoo is on the bench."""

    folders: list[str] = Field(default_factory=lambda: ["models"])
    zoo: bool = True


class PatchSection(Document):
    """The frame around the target, which ``dpcam train`` trains; sheets follow the patch that was trained.

    ``shape``: a square ring, a ring along the target's ``outline``, four ``strips``, or what is opaque in ``mask`` (a
    square PNG, relative to the lab). Sizes that are not named follow from the target's: thickness 0.15, gap and texel
    1/60 of its longer side. ``polygon``: the target's outline as corners in shares of its bounding box; not named, it
    is what the target's picture covers.
    """

    shape: Literal["square", "outline", "strips", "mask"] = "square"
    thickness_mm: float | None = Field(default=None, gt=0, le=1000)
    gap_mm: float | None = Field(default=None, ge=0, le=1000)
    texel_mm: float | None = Field(default=None, gt=0, le=1000)
    polygon: list[tuple[float, float]] | None = Field(default=None, min_length=3, max_length=1000)
    mask: str | None = None


class TrainSection(Document):
    """Patch training. No ``surrogates`` named: all recognizers that are not held out.

    A surrogate is a recognizer's name, or a torch module: ``package.module:name@contract.json``, relative to the lab.
    ``others``: a folder (relative to the lab) with a picture ``LABEL.png`` of each class that a patch must not be taken
    for; none: the signs that dpcam draws. ``precision`` is that of the surrogates, ``device`` where they are computed.
    ``wrong_class``: the class whose patch becomes the control arm wrong-class; none named: one that dpcam ships.
    ``spec``: ranges of the transforms (relative to the lab; ``dpcam eot fit`` measures them); none: those of the plan.
    """

    method: Literal["defensive", "ensemble", "mean", "unadversarial", "released"] = "defensive"
    surrogates: list[str] = Field(default_factory=list)
    others: str | None = None
    device: str = Field(default="cpu", pattern=r"^(cpu|cuda(:\d+)?)$")
    precision: Literal["float32", "bfloat16"] = "float32"
    steps: int = Field(default=200, ge=1, le=100_000)
    batch: int = Field(default=16, ge=1, le=4096)
    learning_rate: float = Field(default=0.2, gt=0, le=10)
    wrong_class: str | None = None
    spec: str | None = None


class SheetSection(Document):
    """Paper, and the control arms that get a sheet beside the patch.

    ``paper``: a name, or width and height in mm (``300x500``). ``tiles``: what is larger than the paper is printed on
    several, to be glued together. ``date`` and ``operator`` are printed as they are; none: a line to fill in by hand.
    """

    paper: str = "A4"
    tiles: bool = False
    date: str | None = None
    operator: str | None = Field(default=None, min_length=1, max_length=60)
    controls: list[str] = Field(default_factory=lambda: list(ARMS))

    @field_validator("paper")
    @classmethod
    def _known_paper(cls, paper: str) -> str:
        try:
            paper_size_mm(paper)
        except BadConfig as error:
            raise ValueError(error.message) from error
        return paper

    @field_validator("date")
    @classmethod
    def _real_date(cls, day: str | None) -> str | None:
        try:
            real = day is None or date.fromisoformat(day).isoformat() == day
        except ValueError:
            real = False
        if not real:
            raise ValueError("a date such as 2026-01-31 is expected")
        return day

    @field_validator("operator")
    @classmethod
    def _printed_operator(cls, name: str | None) -> str | None:
        if name is not None and not (name.strip() and name.isprintable()):
            raise ValueError("a name on one line is expected, or none at all")
        return name

    @field_validator("controls")
    @classmethod
    def _known_controls(cls, controls: list[str]) -> list[str]:
        unknown = [arm for arm in controls if arm not in ARMS]
        if unknown:
            raise ValueError(f"unknown control arm {unknown[0]!r}, known are {', '.join(ARMS)}")
        return controls


class PlanSection(Document):
    """Conditions are all combinations of these; each is taken ``repeats`` times with each arm.

    ``conditions``: a file of them (TOML, JSON or CSV; relative to the lab) instead. ``block``: what changes seldom from
    shot to shot, the outermost first: ``light``, ``distance_mm``, ``arm``, ``repeat`` or any name in that file.
    """

    distances_mm: list[DistanceMm] = Field(default_factory=lambda: [1200.0, 1700.0, 2200.0], min_length=1)
    yaws_deg: list[TiltDeg] = Field(default_factory=lambda: [-45.0, 0.0, 45.0], min_length=1)
    pitches_deg: list[TiltDeg] = Field(default_factory=lambda: [0.0], min_length=1)
    lights: list[str] = Field(default_factory=lambda: ["day", "dim"], min_length=1)
    repeats: int = Field(default=1, ge=1, le=1000)
    conditions: str | None = None
    block: list[str] = Field(default_factory=list)


class VerdictSection(Document):
    """The rule of the verdict, stated before the capture. ``arm``: the patch judged, the target's label by default."""

    arm: str | None = None
    alpha: float = Field(default=0.05, gt=0, lt=1)
    min_effect_points: float = Field(default=0.0, ge=0, le=100)


class Config(Document):
    """All settings of a lab, section by section, as in lab.toml."""

    lab: LabSection = LabSection()
    target: TargetSection = TargetSection()
    camera: CameraSection = CameraSection()
    capture: CaptureSection = CaptureSection()
    gate: GateSection = GateSection()
    models: ModelsSection = ModelsSection()
    patch: PatchSection = PatchSection()
    train: TrainSection = TrainSection()
    sheet: SheetSection = SheetSection()
    plan: PlanSection = PlanSection()
    rig: RigSection = RigSection()
    verdict: VerdictSection = VerdictSection()


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from: ``flag``, ``env``, a file's path, or ``default``."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration of a run, with the source of each value."""

    config: Config
    settings: tuple[Setting, ...]


def load_settings(
    lab: Path,
    *,
    environ: Mapping[str, str],
    user_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Merge all layers for the lab folder (a missing lab.toml or user file is an empty layer).

    ``flags`` maps ``section.key`` to a value; None is no value. :class:`BadConfig` names the layer, the key, the
    nearest known key, or the bad value.
    """
    layers: list[tuple[str, dict[str, Any]]] = []
    for path in (user_file, lab / LAB_FILE):
        if path is not None and path.is_file():
            layers.append((str(path), _flatten(_parse_toml(path), str(path))))
    layers.append(("env", _from_environment(environ)))
    layers.append(("flag", {key: value for key, value in (flags or {}).items() if value is not None}))
    return _merge(layers)


def known_keys() -> dict[str, Any]:
    """``section.key`` → default, in the order of the file."""
    default = Config()
    return {
        f"{section}.{key}": getattr(getattr(default, section), key)
        for section, part in Config.model_fields.items()
        for key in _section_fields(part.annotation)
    }


def _section_fields(section: Any) -> list[str]:
    return list(section.model_fields)


def _parse_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_bytes(path).decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path} is not TOML: {error}", where=str(path)) from error


def _flatten(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, values in document.items():
        if not isinstance(values, dict):
            raise BadConfig(_unknown(section, list(Config.model_fields), where), where=where)
        if section not in Config.model_fields:
            raise BadConfig(_unknown(section, list(Config.model_fields), where), where=where)
        for key, value in values.items():
            _check_key(f"{section}.{key}", where)
            _check_table(f"{section}.{key}", value, where)
            flat[f"{section}.{key}"] = value
    return flat


def _check_key(key: str, where: str) -> None:
    if key not in known_keys():
        raise BadConfig(_unknown(key, list(known_keys()), where), where=where)


def _check_table(name: str, value: Any, where: str) -> None:
    """A table in a section has keys of its own; those of :class:`Document` are checked here, others by its field."""
    default = known_keys()[name]
    if isinstance(value, dict) and isinstance(default, Document):
        known = [f"{name}.{key}" for key in type(default).model_fields]
        for key in value:
            if f"{name}.{key}" not in known:
                raise BadConfig(_unknown(f"{name}.{key}", known, where), where=where)


def _unknown(key: str, known: list[str], where: str) -> str:
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    return f"{where}: unknown key {key!r}, the nearest known one is {nearest[0]!r}"


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """``DPCAM_CAMERA_URI`` → ``camera.uri``; values are read as TOML where that gives what is wanted, else as text."""
    defaults = known_keys()
    names = {ENVIRONMENT_PREFIX + key.replace(".", "_").upper(): key for key in defaults}
    found: dict[str, Any] = {}
    for name, text in environ.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in RESERVED:
            continue
        if name not in names:
            raise BadConfig(_unknown(name, list(names), "environment"), where=name)
        value = _toml_value(text)
        wants_text = isinstance(defaults[names[name]], str | None)
        found[names[name]] = text if wants_text and not isinstance(value, str) else value
    return found


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _merge(layers: list[tuple[str, dict[str, Any]]]) -> Settings:
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, layer in layers:
        for key, value in layer.items():
            values[key], sources[key] = value, source
    nested: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, name = key.split(".", 1)
        nested.setdefault(section, {})[name] = value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        raise _bad_value(error, sources) from error
    return Settings(config, _settings(config, sources))


def _bad_value(error: ValidationError, sources: Mapping[str, str]) -> BadConfig:
    key = ".".join(str(part) for part in error.errors()[0]["loc"][:2])
    inside = (source for name, source in sources.items() if name.startswith(f"{key}."))
    where = sources.get(key) or next(inside, "configuration")
    return BadConfig(f"{where}: {first_problem(error)}", where=where)


def _settings(config: Config, sources: Mapping[str, str]) -> tuple[Setting, ...]:
    dumped = config.model_dump(mode="json")
    return tuple(
        Setting(key, dumped[key.split(".")[0]][key.split(".", 1)[1]], sources.get(key, "default"))
        for key in known_keys()
    )
