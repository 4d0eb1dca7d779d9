"""A lab: the folder with lab.toml, recognizers, patches, sheets, plan and sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from calibration.camera import CameraModel
from calibration.errors import BadInput, BadUsage, MissingFile
from calibration.files import files_of_format, make_folder, read_document, write_bytes, write_text
from calibration.sheet import SHEET_FORMAT, Sheet
from capture.cameras.open import seeded_address
from capture.conditions import read_conditions
from capture.plan import Condition
from pipeline.config import LAB_FILE, Config, Settings, load_settings
from pipeline.recognizers import Recognizer, load_recognizers, zoo_folder

FOLDERS = ("models", "patches", "sheets", "sessions")

LAB_TOML = """\
# A dpcam lab. `dpcam config show` lists every setting with its default and where its value comes from.

[lab]
name = "{name}"
seed = {seed}

[target]
label = "{label}"
width_mm = {width}          # at 2.2 m seen as a sign of 600 mm is at 44 m

[camera]
uri = "sim:"          # or 0, /dev/v4l/by-id/..., rtsp://..., http://..., a video file, a folder of pictures

# [capture]             # how pictures are stored that the camera sends raw, always without loss (docs/files.md)
# codec = "tiff"        # png, webp, tiff, or auto: the smallest that keeps up
# frames_per_s = 5.0

# [rig]                 # what arranges the scene; an operator before a live camera, unless named (docs/howto-rigs.md)
# kind = "exec"         # operator, exec, serial, http or none
# exec.command = "./turn.py"

# [patch]               # the frame around the target: a square ring of these sizes, unless named (docs/howto-frames.md)
# shape = "outline"     # square, outline (along the target's own), strips, or mask
# thickness_mm = 4.5
# gap_mm = 0.5

[train]
# method = "defensive"  # or ensemble, mean, unadversarial, released
# surrogates = ["vgg"]  # recognizers by name, torch modules as package.module:name@contract.json; all, unless named
# others = "others"     # LABEL.png of classes that a patch must not be taken for; dpcam's own signs, unless named
# spec = "spec.json"    # ranges of the transforms, from `dpcam eot fit`; from the plan, unless named
# device = "cuda"       # and precision = "bfloat16"; the CPU in float32, unless named
# wrong_class = "..."   # its patch becomes the control arm wrong-class; one that dpcam ships, unless named

[plan]
distances_mm = {distances}
yaws_deg = {yaws}
lights = {lights}
repeats = {repeats}
# block = ["light"]       # what changes seldom from shot to shot; everything in random order, unless named
# conditions = "conditions.toml"  # conditions from a file instead of the lists above (docs/howto-plan.md)
"""


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab folder with its settings."""

    folder: Path
    settings: Settings

    @property
    def config(self) -> Config:
        """The merged configuration."""
        return self.settings.config

    @property
    def patches(self) -> Path:
        """Folder of the patches."""
        return self.folder / "patches"

    @property
    def sheets(self) -> Path:
        """Folder of the sheets."""
        return self.folder / "sheets"

    @property
    def sessions(self) -> Path:
        """Folder of the sessions."""
        return self.folder / "sessions"

    @property
    def plan(self) -> Path:
        """The plan file."""
        return self.folder / "plan.json"

    @property
    def camera_uri(self) -> str:
        """The camera's address; a simulated one takes the lab's seed unless its address names one."""
        return seeded_address(self.config.camera.uri, self.config.lab.seed)

    @property
    def other_camera_uris(self) -> tuple[str, ...]:
        """As :attr:`camera_uri`, of the cameras that take every shot together with that one."""
        return tuple(seeded_address(each.uri, self.config.lab.seed) for each in self.config.camera.others)

    @property
    def patch_arm(self) -> str:
        """Name of the arm of the lab's own patch: the target's label unless the verdict names another."""
        return self.config.verdict.arm or self.config.target.label

    @property
    def wrong_class(self) -> str:
        """The class whose patch is the control arm ``wrong-class``: never the target's own."""
        shipped = (path.stem for path in sorted(shipped_patches().glob("*.json"), reverse=True))
        return self.config.train.wrong_class or next(name for name in shipped if name != self.config.target.label)

    def recognizers(self) -> list[Recognizer]:
        """All recognizers of the bench: the zoo's and those in the lab's own folders."""
        models = self.config.models
        folders = [zoo_folder()] if models.zoo else []
        # Outside of a lab the default folder is not there; one that somebody named has to be.
        own = [self.folder / name for name in models.folders]
        folders += [path for path in own if path.is_dir() or models.folders != Config().models.folders]
        return load_recognizers(folders)

    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of the plan: those in the file that lab.toml names, or all combinations of what it lists."""
        plan = self.config.plan
        if plan.conditions:
            return read_conditions(self.folder / plan.conditions)
        crossed = product(plan.distances_mm, plan.yaws_deg, plan.pitches_deg, plan.lights)
        return tuple(
            Condition(distance_mm=distance, yaw_deg=yaw, pitch_deg=pitch, light=light)
            for distance, yaw, pitch, light in crossed
        )

    def camera_model(self) -> CameraModel | None:
        """The camera's calibration that lab.toml names, or None."""
        name = self.config.camera.calibration
        return read_document(self.folder / name, CameraModel) if name else None


def open_lab(
    folder: Path,
    *,
    environ: Mapping[str, str],
    user_file: Path | None,
    flags: Mapping[str, Any] | None = None,
    required: bool = True,
) -> Lab:
    """Open the lab in ``folder``; :class:`MissingFile` when it is none, unless ``required`` is off (then: defaults)."""
    if required and not (folder / LAB_FILE).is_file():
        raise MissingFile(f"{folder.resolve()} is no lab: it has no {LAB_FILE}", hint="dpcam init DIR", where=LAB_FILE)
    return Lab(folder, load_settings(folder, environ=environ, user_file=user_file, flags=flags))


def create_lab(folder: Path, *, seed: int) -> list[Path]:
    """Make the folders, lab.toml and the patches that dpcam ships; what is there already stays. Returns what is new."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; a folder is expected", where=str(folder))
    new = [path for path in (folder / name for name in FOLDERS) if not path.is_dir()]
    if not (folder / LAB_FILE).is_file():
        write_text(folder / LAB_FILE, _lab_toml(folder.resolve().name, seed))
        new.append(folder / LAB_FILE)
    for path in (folder / name for name in FOLDERS):
        make_folder(path)
    return new + _copy_missing(shipped_patches(), folder / "patches")


def shipped_patches() -> Path:
    """Folder of the patches that dpcam ships; none of them was trained on a held-out recognizer."""
    return Path(__file__).parent / "zoo" / "patches"


def select_recognizers(recognizers: Sequence[Recognizer], names: Sequence[str] | None) -> list[Recognizer]:
    """Those named, in that order, or all; :class:`BadUsage` names the known ones, :class:`BadInput` for no bench."""
    if not recognizers:
        raise BadInput("there is no recognizer on the bench", hint="dpcam models add, or models.zoo = true in lab.toml")
    if not names:
        return list(recognizers)
    known = {each.name: each for each in recognizers}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadUsage(f"no recognizer is named {unknown[0]!r}; the bench has {', '.join(sorted(known)) or 'none'}")
    return [known[name] for name in dict.fromkeys(names)]


def read_sheets(folder: Path) -> list[Sheet]:
    """All sheets in a folder, sorted by file name; other documents in it are not looked at."""
    return [read_document(path, Sheet) for path in files_of_format(folder, SHEET_FORMAT)]


def _lab_toml(name: str, seed: int) -> str:
    default = Config()
    return LAB_TOML.format(
        name=name.replace('"', "").replace("\\", ""),
        seed=seed,
        label=default.target.label,
        width=default.target.width_mm,
        distances=default.plan.distances_mm,
        yaws=default.plan.yaws_deg,
        lights=str(default.plan.lights).replace("'", '"'),
        repeats=default.plan.repeats,
    )


def _copy_missing(source: Path, into: Path) -> list[Path]:
    new = []
    for path in sorted(source.glob("*")):
        if path.suffix in {".json", ".png"} and not (into / path.name).exists():
            write_bytes(into / path.name, path.read_bytes())
            new.append(into / path.name)
    return new
