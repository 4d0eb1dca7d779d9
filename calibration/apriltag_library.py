"""The AprilTag library itself, called through its C interface; it comes with the package apriltag-python.

The package's own binding gives Ctrl-C its default disposition for the time of every call, which kills the process
without a word; and two threads that detect at once may leave it so for good. Called directly, it leaves signals alone.
"""

from __future__ import annotations

import ctypes
import importlib.util
from ctypes import POINTER, Structure, c_bool, c_double, c_float, c_int, c_int32, c_size_t, c_void_p
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibration.errors import NotReady
from calibration.geometry import Array

PACKAGE = "apriltag"
FILES = ("libapriltag.so", "libapriltag.dylib", "*apriltag.dll")


class _Settings(Structure):
    """The beginning of ``apriltag_detector_t``: what a user sets (apriltag.h)."""

    _fields_ = (
        ("nthreads", c_int),
        ("quad_decimate", c_float),
        ("quad_sigma", c_float),
        ("refine_edges", c_bool),
        ("decode_sharpening", c_double),
    )


class _Image(Structure):
    """``image_u8_t``: rows of ``stride`` bytes."""

    _fields_ = (("width", c_int32), ("height", c_int32), ("stride", c_int32), ("data", c_void_p))


class _Detection(Structure):
    """``apriltag_detection_t``."""

    _fields_ = (
        ("family", c_void_p),
        ("id", c_int),
        ("hamming", c_int),
        ("decision_margin", c_float),
        ("homography", c_void_p),
        ("center", c_double * 2),
        ("corners", (c_double * 2) * 4),
    )


class _Found(Structure):
    """``zarray_t`` of pointers to detections."""

    _fields_ = (("element_bytes", c_size_t), ("size", c_int), ("room", c_int), ("data", c_void_p))


@dataclass(frozen=True, slots=True)
class Detection:
    """What the library says of one tag; ``(4, 2)`` corners in its own order, px, counted from a pixel's corner."""

    id: int
    hamming: int
    margin: float
    corners: Array


class Detector:
    """Finds the tags of one family. Not for several threads at once; it lets go of the interpreter while it works."""

    def __init__(self, family: str, *, decimate: float, corrected_bits: int) -> None:
        """``family`` such as ``tag36h11``; searched at 1/``decimate`` of the resolution."""
        library = _library()
        self._library = library
        self._detector = library.apriltag_detector_create()
        self._family = getattr(library, f"{family}_create")()
        self._destroy_family = getattr(library, f"{family}_destroy")
        library.apriltag_detector_add_family_bits(self._detector, self._family, corrected_bits)
        settings = _Settings.from_address(self._detector)
        settings.nthreads = 1
        settings.quad_decimate = decimate
        settings.quad_sigma = 0.0
        settings.refine_edges = True

    def __del__(self) -> None:
        """Give back what the library holds."""
        if hasattr(self, "_destroy_family"):
            self._library.apriltag_detector_destroy(self._detector)
            self._destroy_family(self._family)

    def detect(self, gray: NDArray[np.uint8]) -> list[Detection]:
        """The tags in ``(H, W)`` uint8, contiguous and 8 px or larger: smaller pictures crash the library."""
        height, width = gray.shape
        image = _Image(width, height, width, gray.ctypes.data)
        found = self._library.apriltag_detector_detect(self._detector, ctypes.byref(image))
        try:
            pointers = ctypes.cast(found.contents.data, POINTER(POINTER(_Detection)))
            return [_copied(pointers[i].contents) for i in range(found.contents.size)]
        finally:
            self._library.apriltag_detections_destroy(found)


def _copied(found: _Detection) -> Detection:
    corners = np.array(found.corners, dtype=np.float64)
    return Detection(int(found.id), int(found.hamming), float(found.decision_margin), corners)


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """The library with the types of what is called."""
    library = ctypes.CDLL(str(_path()))
    for name in ("tag36h11_create", "apriltag_detector_create"):
        getattr(library, name).restype = c_void_p
    for name in ("tag36h11_destroy", "apriltag_detector_destroy"):
        getattr(library, name).argtypes = [c_void_p]
        getattr(library, name).restype = None
    library.apriltag_detector_add_family_bits.argtypes = [c_void_p, c_void_p, c_int]
    library.apriltag_detector_add_family_bits.restype = None
    library.apriltag_detector_detect.argtypes = [c_void_p, POINTER(_Image)]
    library.apriltag_detector_detect.restype = POINTER(_Found)
    library.apriltag_detections_destroy.argtypes = [POINTER(_Found)]
    library.apriltag_detections_destroy.restype = None
    return library


def _path() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [path for folder in folders for pattern in FILES for path in folder.glob(pattern)]
    if not found:
        raise NotReady("the AprilTag library is missing", hint="reinstall apriltag-python")
    return found[0]
