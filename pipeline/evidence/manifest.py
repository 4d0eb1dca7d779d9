"""``evidence.json``, the manifest of an evidence pack: what is in it, computed with what, how to score it again."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable
from importlib import metadata
from typing import Literal

from pydantic import Field, ValidationError

from calibration.errors import BadEvidence
from calibration.files import Document, first_problem
from pipeline.evidence.names import MANIFEST
from pipeline.recognizers import Provider
from pipeline.sessions.derived import code_version

MAX_MANIFEST_BYTES = 2**26
"""About 400,000 files. A larger one is not read: it would be held in memory whole."""

PACKAGES = (
    "apriltag-python",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "pydantic",
)
"""What the numbers of a score depend on."""

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")


class PackedFile(Document):
    """One file of a pack; ``path`` is relative, with ``/``."""

    path: str
    bytes: int = Field(ge=0)
    sha256: str = Sha256


class PackedModel(Document):
    """One recognizer of a pack, with the licence that its contract states (empty: none is stated)."""

    name: str
    contract: str
    onnx: str
    sha256: str = Sha256
    family: str = ""
    held_out: bool
    licence: str = ""
    training_data: str = ""


class ScoringOrder(Document):
    """What was asked of the recognizers, in the words of ``dpcam score``: the same order gives the same answers."""

    provider: Provider = "cpu"
    views: list[str] = Field(default_factory=lambda: ["natural"], min_length=1)
    jitter: int = Field(default=0, ge=0)
    noises: list[str] = Field(default_factory=list)
    severities: list[int] = Field(default_factory=list)
    noise_at: Literal["input", "camera"] = "input"
    seed: int = Field(default=0, ge=0)

    @property
    def shows_more(self) -> bool:
        """Whether it asks for more than the natural view."""
        return self.views != ["natural"] or self.jitter > 0

    @property
    def options(self) -> str:
        """What ``dpcam score`` needs to be told."""
        said = f"--provider {self.provider}"
        if self.shows_more:
            said += f" --views {','.join(self.views)} --jitter {self.jitter}"
        if self.noises:
            severities = ",".join(map(str, self.severities))
            said += f" --noises {','.join(self.noises)} --severities {severities} --noise-at {self.noise_at}"
        return f"{said} --seed {self.seed}" if self.shows_more or self.noises else said


class Evidence(Document):
    """``evidence.json``. ``files`` are all files but this one and ``SHA256SUMS``; ``total_bytes`` is their sum.

    ``session``: the session's id; ``sealed``: whether the capture came to its end. ``python``, ``machine``,
    ``packages``: with what the scores were computed; ``scoring``: what was asked. ``answers``: lines of
    ``scores.jsonl``. ``commands``: how to score it again.
    """

    format: Literal["dpcam.evidence"] = "dpcam.evidence"
    version: Literal[1] = 1
    session: str
    sealed: bool
    dpcam: str
    python: str
    machine: str
    packages: dict[str, str]
    scoring: ScoringOrder
    models: list[PackedModel] = Field(min_length=1)
    answers: int = Field(ge=0)
    commands: list[str]
    total_bytes: int = Field(ge=0)
    files: list[PackedFile] = Field(min_length=1)


def manifest_bytes(evidence: Evidence) -> bytes:
    """The manifest as it is written: the same content gives the same bytes."""
    return (json.dumps(evidence.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def parse_manifest(data: bytes) -> Evidence:
    """The manifest that ``data`` is; :class:`BadEvidence` names what is wrong with it."""
    try:
        evidence = Evidence.model_validate_json(data)
    except ValidationError as error:
        raise BadEvidence(f"{MANIFEST}: {first_problem(error)}", where=MANIFEST) from error
    total = sum(each.bytes for each in evidence.files)
    if total != evidence.total_bytes:
        message = f"{MANIFEST}: total_bytes: {evidence.total_bytes} is stated, the files add up to {total}"
        raise BadEvidence(message, where=MANIFEST)
    return evidence


def sums_text(files: Iterable[PackedFile], manifest: bytes) -> bytes:
    """``SHA256SUMS``, as the program ``sha256sum`` checks it: every file, and the manifest."""
    listed = [(each.sha256, each.path) for each in files] + [(hashlib.sha256(manifest).hexdigest(), MANIFEST)]
    return "".join(f"{digest}  {path}\n" for digest, path in listed).encode()


def installed_packages() -> dict[str, str]:
    """Versions of the packages that are installed of :data:`PACKAGES`."""
    return {name: version for name in PACKAGES if (version := _version(name))}


def other_versions(evidence: Evidence) -> list[str]:
    """What a pack was scored with and is not so here, in words: why last digits of numbers may differ."""
    theirs = {"dpcam": evidence.dpcam, "python": evidence.python, "on": evidence.machine, **evidence.packages}
    ours = {"dpcam": code_version(), "python": platform.python_version(), "on": this_system(), **installed_packages()}
    return [
        f"{name} {theirs.get(name, 'not')} there, {ours.get(name, 'not')} here"
        for name in dict.fromkeys([*theirs, *ours])
        if theirs.get(name) != ours.get(name)
    ]


def this_system() -> str:
    """Kind of the operating system and of the processor."""
    return f"{platform.system()} {platform.machine()}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
