"""A DSLR or other camera that libgphoto2 drives: one exposure for each picture, stored as the camera wrote it.

The package ``gphoto2`` brings libgphoto2 with it; it is an extra of dpcam (``dslr``) and loaded when such a camera is
opened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from calibration.camera import CameraModel
from calibration.errors import BadConfig, BadImage, BadUsage, CameraGone, NotReady
from capture.cameras.settings import Ability, Setting, apply_settings, not_taken, number_of, same_value, with_asked
from capture.cameras.watch import BackOff, CameraEvent, Kind, Timing, Watchdog
from capture.frame import Clock, Frame
from capture.picture import decode_kept, reported_settings

SCHEME = "gphoto2:"

SETTINGS: Mapping[str, tuple[str, ...]] = {
    "shutter": ("shutterspeed", "shutterspeed2", "exptime"),
    "aperture": ("aperture", "f-number"),
    "iso": ("iso", "isospeed"),
    "exposure_compensation": ("exposurecompensation",),
    "white_balance": ("whitebalance",),
    "focus_mode": ("focusmode", "focusmode2"),
    "autofocus": ("autofocus",),
    "image_format": ("imageformat", "imagequality"),
    "image_size": ("imagesize",),
}
"""One name for what makers call by several; any other setting has the camera's own name."""

SERIAL = ("serialnumber", "eosserialnumber")
OWN_SECTIONS = frozenset({"settings", "imgsettings", "capturesettings"})
TAKES_EFFECT_EVENTS = 20
"""Some cameras report a new value only after a while: so many events, or tenths of a second without one."""


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """A camera on a port of this machine, ``usb:001,004`` for example."""

    model: str
    port: str


def find_cameras() -> tuple[FoundCamera, ...]:
    """The cameras that libgphoto2 sees; :class:`NotReady` without the package, or when it cannot look for them."""
    library = _library()
    try:
        found = library.Camera.autodetect()
    except library.GPhoto2Error as error:
        raise CameraGone(f"libgphoto2 cannot look for cameras: {error.string}", where=SCHEME) from error
    return tuple(FoundCamera(found.get_name(i), found.get_value(i)) for i in range(found.count()))


def _library() -> ModuleType:
    try:
        import gphoto2
    except ImportError as error:
        raise NotReady(
            f"a DSLR needs the package gphoto2: {error}", hint="pip install 'dpcam[dslr]'", where=SCHEME
        ) from error
    library: ModuleType = gphoto2
    return library


class GphotoCamera:
    """The camera at ``gphoto2:`` (the only one), ``gphoto2:SERIAL`` or ``gphoto2:PORT``.

    Every :meth:`read` exposes anew, so that no picture is stale. A camera that breaks off is opened again, with growing
    pauses, for ``timing.reconnect_s``. Pictures in the camera's own memory are removed when they are here; those on its
    card stay.
    """

    def __init__(
        self, address: str, clock: Clock, timing: Timing, settings: Mapping[str, Setting] | None = None
    ) -> None:
        self._library = _library()
        self._clock = clock
        self._timing = timing
        self._asked = dict(settings or {})
        self._events: list[CameraEvent] = []
        self._listener: Callable[[CameraEvent], None] | None = None
        self._device = _Device(self._library, address)
        self._watchdog = Watchdog(self.identity, timing, clock)
        try:
            apply_settings(self._device, self._asked, self.identity)
        except BaseException:
            self.close()
            raise

    @property
    def identity(self) -> str:
        """``gphoto2:`` and the serial number, or the port of a camera that has none."""
        return SCHEME + self._device.name

    @property
    def model(self) -> CameraModel | None:
        """None: such cameras do not know their intrinsics."""
        return None

    def __enter__(self) -> GphotoCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report_to(self, listener: Callable[[CameraEvent], None]) -> None:
        """Tell ``listener`` what happens to the camera, from within :meth:`read`."""
        self._listener = listener
        for event in self._events:
            listener(event)
        self._events.clear()

    def abilities(self) -> tuple[Ability, ...]:
        """What can be set, with the values of now and all choices."""
        return self._device.abilities()

    def adjust(self, asked: Mapping[str, Setting]) -> None:
        """Set more settings; :class:`BadConfig` when the camera does not take them."""
        apply_settings(self._device, asked, self.identity)
        self._asked = {**self._asked, **asked}

    def read(self) -> Frame:
        """Expose, download. :class:`BadImage` when the camera took no picture (out of focus, for example)."""
        end_ns = self._clock.mono_ns() + round(self._timing.reconnect_s * 1e9)
        while True:
            try:
                return self._taken()
            except CameraGone as error:
                self._tell("lost", f"{error.message}; {self._watchdog.last_good}")
                self._reconnect(end_ns, error)

    def close(self) -> None:
        """Give the camera back; safe to call twice."""
        self._device.close()

    def _taken(self) -> Frame:
        data = self._device.expose()
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        pixels, suffix = decode_kept(data, self.identity)
        reported = {**reported_settings(data), **self._device.reported(self._asked)}
        self._watchdog.passed(mono_ns, wall_ns)
        return Frame(
            pixels=pixels,
            t_mono_ns=mono_ns,
            t_wall_ns=wall_ns,
            encoded=data if suffix else b"",
            suffix=suffix or ".png",
            settings=with_asked(reported, self._asked),
        )

    def _reconnect(self, end_ns: int, error: CameraGone) -> None:
        back_off = BackOff()
        attempt = 0
        while self._clock.mono_ns() < end_ns:
            time.sleep(back_off.next_s())
            attempt += 1
            try:
                self._device.reopen()
                apply_settings(self._device, self._asked, self.identity)
            except (CameraGone, BadConfig) as again:
                self._tell("attempt", f"attempt {attempt}: {again.message}; {self._watchdog.last_good}")
            else:
                self._tell("back", f"{self.identity} answers again, at attempt {attempt}; {self._watchdog.last_good}")
                return
        raise CameraGone(
            f"{self.identity} gives no picture ({error.message}); {self._watchdog.last_good}",
            hint="look at its power, cable and battery, then run the same command again: it resumes",
            where=self.identity,
        ) from error

    def _tell(self, kind: Kind, text: str) -> None:
        event = CameraEvent(kind, text, self._clock.wall_ns())
        if self._listener:
            self._listener(event)
        else:
            self._events.append(event)


class _Device:
    """The camera as libgphoto2 has it; its errors become ours."""

    def __init__(self, library: ModuleType, address: str) -> None:
        self._library = library
        self._camera: Any = None
        self._own_names: dict[str, str] = {}
        self.name = address
        self.name = self._open(address)

    def reopen(self) -> None:
        """Once more, by the serial number if there is one: the port of a camera changes when it is plugged in again."""
        self.close()
        self._open(self.name)

    def close(self) -> None:
        """Give the camera back; safe to call twice."""
        if self._camera is not None:
            try:
                self._camera.exit()
            except self._library.GPhoto2Error:
                # It has gone already.
                pass
            finally:
                self._camera = None

    def abilities(self) -> tuple[Ability, ...]:
        """All settings that can be written."""
        with self._speaking("tell its settings"):
            found = dict(self._writable(self._camera.get_config()))
        ours = {name: next((own for own in owns if own in found), "") for name, owns in SETTINGS.items()}
        ours = {name: own for name, own in ours.items() if own}
        self._own_names = ours | {own: own for own in found if own not in ours.values()}
        return tuple(_ability(name, found[own], self._library) for name, own in self._own_names.items())

    def set_value(self, name: str, value: Setting) -> None:
        """Write a value, as the camera spells it, and wait until it shows."""
        own = self._own_names[name]
        with self._speaking(f"take {name} = {value!r}"):
            widget = self._camera.get_single_config(own)
            ability = _ability(name, widget, self._library)
            widget.set_value(_spelled(value, ability, SCHEME + self.name))
            self._camera.set_single_config(own, widget)
            for _ in range(TAKES_EFFECT_EVENTS):
                if same_value(self._value(own), value):
                    return
                self._camera.wait_for_event(100)

    def reported(self, asked: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings that matter to a picture, and those that were asked for, as they are now."""
        if not self._own_names:
            self.abilities()
        names = [name for name in self._own_names if name in SETTINGS or name in asked]
        with self._speaking("tell its settings"):
            return {name: self._value(self._own_names[name]) for name in names}

    def expose(self) -> bytes:
        """Take a picture → its file, whole."""
        library = self._library
        with self._speaking("take a picture", BadImage):
            place = self._camera.capture(library.GP_CAPTURE_IMAGE)
        with self._speaking("send its picture"):
            # The memory belongs to the file: it must live until the bytes are copied.
            file = self._camera.file_get(place.folder, place.name, library.GP_FILE_TYPE_NORMAL)
            data = bytes(file.get_data_and_size())
            if self._in_own_memory():
                self._camera.file_delete(place.folder, place.name)
        if not data.startswith(b"\xff\xd8"):
            formats = next((each.accepted for each in self.abilities() if each.name == "image_format"), "")
            raise BadConfig(
                f"{SCHEME}{self.name} wrote {place.name}, which is no JPEG",
                hint=f"set image_format in camera.settings to a JPEG one: {formats}",
                where="camera.settings",
            )
        return data

    def _in_own_memory(self) -> bool:
        try:
            return "internal" in str(self._value("capturetarget")).lower()
        except self._library.GPhoto2Error:
            return False

    def _open(self, address: str) -> str:
        """Open the camera with this port or serial number → its lasting name."""
        found = find_cameras()
        candidates = [each for each in found if each.port == address] or found
        names = {}
        for each in candidates:
            serial = self._connect(each)
            names[serial or each.port] = each.model
            if address in (serial, each.port) or (not address and len(found) == 1):
                return serial or each.port
            self.close()
        raise _none_or_many(address, names)

    def _connect(self, found: FoundCamera) -> str:
        """Open it → its serial number, empty for none."""
        library = self._library
        camera = library.Camera()
        ports = library.PortInfoList()
        ports.load()
        with self._speaking("be opened"):
            camera.set_port_info(ports.get_info(ports.lookup_path(found.port)))
            camera.init()
        self._camera = camera
        for name in SERIAL:
            try:
                return str(self._value(name)).strip()
            except library.GPhoto2Error:
                continue
        return ""

    def _value(self, own: str) -> Setting:
        value: Setting = self._camera.get_single_config(own).get_value()
        return value

    def _writable(self, widget: Any, section: str = "") -> Iterator[tuple[str, Any]]:
        library = self._library
        if widget.get_type() in (library.GP_WIDGET_WINDOW, library.GP_WIDGET_SECTION):
            for i in range(widget.count_children()):
                yield from self._writable(widget.get_child(i), widget.get_name())
        elif section in OWN_SECTIONS and not widget.get_readonly() and widget.get_type() != library.GP_WIDGET_DATE:
            yield widget.get_name(), widget

    @contextmanager
    def _speaking(self, what: str, refused: type[BadImage] | type[CameraGone] = CameraGone) -> Iterator[None]:
        """Within: an error of libgphoto2 is one of ours. ``refused``: what a plain "no" of the camera is."""
        if self._camera is None and what != "be opened":
            raise CameraGone(f"{SCHEME}{self.name} is closed", where=SCHEME + self.name)
        try:
            yield
        except self._library.GPhoto2Error as error:
            kind = refused if error.code == self._library.GP_ERROR else CameraGone
            raise kind(f"{SCHEME}{self.name} does not {what}: {error.string}", where=SCHEME + self.name) from error


def _none_or_many(address: str, names: Mapping[str, str]) -> CameraGone | BadUsage:
    listed = ", ".join(f"{SCHEME}{name} ({model})" for name, model in names.items())
    if address or not names:
        hint = "switch the camera on, and unmount it where the desktop has taken it for a disk"
        which = f"no camera {address!r} on USB" if address else "no camera that libgphoto2 knows on USB"
        return CameraGone(f"there is {which}; found: {listed or 'none'}", hint=hint, where=SCHEME + address)
    return BadUsage(f"there are {len(names)} cameras; name one: {listed}", where="--camera")


def _ability(name: str, widget: Any, library: ModuleType) -> Ability:
    value = widget.get_value()
    value = value if isinstance(value, str | int | float) else str(value)
    kind = widget.get_type()
    if kind in (library.GP_WIDGET_RADIO, library.GP_WIDGET_MENU):
        return Ability(name, value, tuple(widget.get_choice(i) for i in range(widget.count_choices())))
    if kind == library.GP_WIDGET_RANGE:
        low, high, _ = widget.get_range()
        return Ability(name, value, low=low, high=high)
    return Ability(name, value)


def _spelled(value: Setting, ability: Ability, name: str) -> Setting:
    """The value as the camera writes it: one of its choices that means the same, or of the kind of its present one."""
    if ability.choices:
        same = [choice for choice in ability.choices if same_value(choice, value)]
        if not same:
            raise not_taken(name, ability, value)
        return same[0]
    if isinstance(ability.value, str):
        return str(value)
    number = number_of(value)
    if number is None:
        raise not_taken(name, ability, value)
    return type(ability.value)(number)
