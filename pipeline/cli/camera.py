"""``dpcam camera``: which cameras there are, and what one of them does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from calibration.errors import DpcamError, LimitNotMet
from pipeline.cli.command import LabOption, command, new_group
from pipeline.cli.context import enter_lab
from pipeline.result import Result, Table

if TYPE_CHECKING:
    from pipeline.camera_check import CameraCheck

RECONNECT_S = 5.0
"""A check does not wait for a camera as a capture does."""

group = new_group("Cameras: which there are, what one of them can do and really does.")


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(group, name="camera")


@command(group, "list")
def list_() -> Result:
    """List the cameras of this machine with their lasting addresses, and the plug-ins for others."""
    from pipeline.camera_check import list_cameras

    found = list_cameras()
    data = {
        "cameras": [{"address": each.address, "kind": each.kind, "name": each.name} for each in found.cameras],
        "plugins": [{"scheme": each.scheme, "package": each.package} for each in found.plugins],
        "problems": [{"message": problem.message, "hint": problem.hint} for problem in found.problems],
    }
    rows = tuple((each.address, each.kind, each.name) for each in found.cameras)
    plugins = [f"plug-in {each.scheme}: of {each.package}" for each in found.plugins]
    problems = [f"{problem.message} ({problem.hint})" for problem in found.problems]
    network = "network cameras are not looked for: name their rtsp:// or http:// address"
    table = Table("Cameras", ("address", "kind", "name"), rows)
    return Result(data=data, tables=[table], lines=[*plugins, *problems, network])


@command(group, "check")
def check(
    uri: Annotated[
        str | None, typer.Argument(help="Its address; the lab's camera by default.", metavar="[URI]")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Look at it for so long.", min=0.1, max=3600)] = 3.0,
    lab: LabOption = Path(),
) -> Result:
    """Open a camera and look at it: size, settings with what they take, true rate, latency, frozen or not."""
    from dataclasses import replace

    from capture.frame import Clock
    from pipeline.camera_check import check_camera

    here = enter_lab(lab, {"camera.uri": uri}, required=False)
    asked = here.config.camera
    found = check_camera(
        asked.uri,
        sheet_folder=here.sheets,
        clock=Clock(),
        timing=replace(asked.timing, reconnect_s=min(RECONNECT_S, asked.timing.reconnect_s)),
        settings=asked.settings if uri is None else {},
        seconds=seconds,
    )
    return Result(data=_data(found), tables=_tables(found), lines=_lines(found), errors=_errors(found))


def _data(found: CameraCheck) -> dict[str, Any]:
    return {
        "camera": found.identity,
        "width": found.size[0] if found.size else None,
        "height": found.size[1] if found.size else None,
        "stored_as": found.suffix,
        "rate": found.rate,
        "pictures": found.pictures,
        "seconds": found.seconds,
        "read_ms": found.read_ms,
        "latency_ms": found.latency_ms,
        "frozen": found.frozen,
        "damaged": found.damaged,
        "reported": dict(found.reported),
        "settings": [
            {"name": each.name, "value": each.value, "choices": list(each.choices), "low": each.low, "high": each.high}
            for each in found.abilities
        ],
        "events": [{"kind": event.kind, "text": event.text} for event in found.events],
    }


def _tables(found: CameraCheck) -> list[Table]:
    rows = tuple((each.name, str(each.value), each.accepted or "not known") for each in found.abilities)
    return [Table("Settings", ("name", "value", "takes"), rows)] if rows else []


def _lines(found: CameraCheck) -> list[str]:
    size = f"{found.size[0]}x{found.size[1]}, stored as {found.suffix}" if found.size else "no picture"
    lines = [f"{found.identity}: {size}"]
    if found.rate is not None:
        lines.append(f"{found.rate:g} pictures/s came ({found.pictures} in {found.seconds:g} s)")
    if found.read_ms is not None:
        lines.append(f"a picture is here {found.read_ms:g} ms after it is asked for")
    if found.latency_ms is not None:
        lines.append(f"it is {found.latency_ms:g} ms old when it arrives, by the camera's clock")
    return [*lines, *(f"{event.kind}: {event.text}" for event in found.events)]


def _errors(found: CameraCheck) -> list[DpcamError]:
    if found.problem is not None:
        return [found.problem]
    if found.frozen:
        return [LimitNotMet(f"{found.identity} gave the same picture each time", where=found.identity)]
    return [LimitNotMet(f"{found.damaged} pictures were damaged", where=found.identity)] if found.damaged else []
