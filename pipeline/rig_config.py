"""Settings of the rig: who arranges the scene, and how it is talked to."""

from __future__ import annotations

import shlex
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from calibration.files import Document
from capture.rigs.axes import Axis

RigKind = Literal["auto", "operator", "exec", "serial", "http", "none"]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
TOLERANCES = {"distance_mm": 5.0, "yaw_deg": 1.0, "pitch_deg": 1.0, "roll_deg": 1.0}


class ExecSection(Document):
    """A command that is run for each shot, in the lab's folder: words, or one text as in a shell, without a shell."""

    command: list[str] = Field(default_factory=list)
    timeout_s: Seconds = 60.0

    @field_validator("command", mode="before")
    @classmethod
    def _in_words(cls, command: Any) -> Any:
        return shlex.split(command) if isinstance(command, str) else command


class SerialSection(Document):
    """A GRBL controller. ``axes``: letter → what moves it. See :class:`capture.rigs.gcode.Machine`."""

    port: str = ""
    baud: int = Field(default=115_200, gt=0)
    home: bool = True
    feed_per_min: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    settle_s: float = Field(default=0.5, ge=0, le=3600)
    wake_s: Seconds = 10.0
    answer_s: Seconds = 5.0
    move_s: Seconds = 120.0
    recoveries: int = Field(default=0, ge=0, le=10)
    axes: dict[Literal["X", "Y", "Z", "A", "B", "C"], Axis] = Field(default_factory=dict)

    @field_validator("axes", mode="before")
    @classmethod
    def _capitals(cls, axes: Any) -> Any:
        return {str(letter).upper(): axis for letter, axis in axes.items()} if isinstance(axes, dict) else axes

    @model_validator(mode="after")
    def _finds_itself_again(self) -> SerialSection:
        if self.recoveries and not self.home:
            raise ValueError("recoveries need homing: after a fault the position is lost")
        return self


class HttpSection(Document):
    """An address that takes the request of each shot by POST."""

    url: str = ""
    timeout_s: Seconds = 60.0


class RigSection(Document):
    """Who arranges the scene for a shot.

    ``auto``: the simulator itself, nobody for pictures on disk, an operator before a live camera. ``ask_first``: an
    operator is asked, too, before the rig moves. ``tolerances``: name → how far off what the rig says it reached may
    be. ``give_up_after``: so many failed shots in a row end the capture.
    """

    kind: RigKind = "auto"
    ask_first: bool = False
    give_up_after: int = Field(default=5, ge=1)
    tolerances: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=lambda: dict(TOLERANCES)
    )
    exec: ExecSection = ExecSection()
    serial: SerialSection = SerialSection()
    http: HttpSection = HttpSection()

    @field_validator("tolerances")
    @classmethod
    def _with_defaults(cls, tolerances: dict[str, float]) -> dict[str, float]:
        return {**TOLERANCES, **tolerances}

    @model_validator(mode="after")
    def _says_enough(self) -> RigSection:
        needed = {
            "exec": ("exec.command", self.exec.command),
            "serial": ("serial.port", self.serial.port),
            "http": ("http.url", self.http.url),
        }
        name, value = needed.get(self.kind, ("", True))
        if not value:
            raise ValueError(f"a rig of the kind {self.kind} needs rig.{name}")
        if self.kind == "serial" and not self.serial.axes:
            raise ValueError("a rig of the kind serial needs an axis, such as [rig.serial.axes.X]")
        return self
