"""Cameras of other packages: entry points of the group ``dpcam.cameras``, scheme → factory.

In the ``pyproject.toml`` of such a package::

    [project.entry-points."dpcam.cameras"]
    genicam = "my_package:open_camera"

    def open_camera(uri: str, *, clock: Clock, timing: Timing) -> Camera: ...

``genicam:anything`` is opened by it then. A factory may have an attribute ``find``, a function without arguments that
gives the addresses of the cameras that are there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol

from calibration.errors import BadConfig, DpcamError
from capture.cameras.base import Camera
from capture.cameras.watch import Timing
from capture.frame import Clock

GROUP = "dpcam.cameras"
_PARTS = ("identity", "model", "read", "close", "__enter__", "__exit__")


class CameraFactory(Protocol):
    """What an entry point names."""

    def __call__(self, uri: str, *, clock: Clock, timing: Timing) -> Camera:
        """Open the camera at ``uri``, scheme and all."""
        ...


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in: its scheme, and the package and object that it comes from."""

    scheme: str
    package: str
    entry: metadata.EntryPoint

    @property
    def label(self) -> str:
        """How it is called in messages."""
        return f"the camera plug-in {self.scheme!r} ({self.entry.value} of {self.package})"

    def open(self, uri: str, clock: Clock, timing: Timing) -> Camera:
        """Its camera; :class:`BadConfig` names a plug-in that cannot be loaded, breaks, or gives no camera."""
        factory = self._factory()
        try:
            camera = factory(uri, clock=clock, timing=timing)
        except DpcamError:
            raise
        except Exception as error:
            raise self._broken(f"cannot open {uri!r}", error) from error
        if missing := [part for part in _PARTS if not hasattr(camera, part)]:
            raise self.refusal(f"gives a {type(camera).__name__} without {', '.join(missing)}")
        return camera

    def find(self) -> tuple[str, ...]:
        """The addresses of its cameras that are there, as far as it can tell."""
        find = getattr(self._factory(), "find", None)
        if find is None:
            return ()
        try:
            found: Iterable[str] = find()
            return tuple(str(address) for address in found)
        except Exception as error:
            raise self._broken("cannot look for cameras", error) from error

    def _factory(self) -> CameraFactory:
        try:
            factory: CameraFactory = self.entry.load()
        except Exception as error:
            raise self._broken("cannot be loaded", error) from error
        return factory

    def refusal(self, why: str) -> BadConfig:
        """The error of a plug-in that is not as it must be."""
        return BadConfig(f"{self.label} {why}", hint=f"update or uninstall {self.package}", where=self.scheme)

    def _broken(self, what: str, error: Exception) -> BadConfig:
        return self.refusal(f"{what}: {type(error).__name__}: {error}")


def list_plugins() -> tuple[Plugin, ...]:
    """All plug-ins that are installed, by scheme."""
    found = metadata.entry_points(group=GROUP)
    plugins = [Plugin(entry.name.lower(), entry.dist.name if entry.dist else "?", entry) for entry in found]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.scheme, plugin.package)))


def plugin_for(scheme: str) -> Plugin | None:
    """The plug-in of a scheme, or None; :class:`BadConfig` when two packages claim it."""
    claims = [plugin for plugin in list_plugins() if plugin.scheme == scheme]
    if len(claims) > 1:
        packages = " and ".join(plugin.package for plugin in claims)
        raise BadConfig(f"cameras {scheme}: are claimed by {packages}", hint="uninstall one of them", where=scheme)
    return claims[0] if claims else None
