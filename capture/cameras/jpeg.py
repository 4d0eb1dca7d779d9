"""Whether the bytes of a JPEG hang together, without decoding it: decoders show a damaged one without a word."""

from __future__ import annotations

import re

_START = b"\xff\xd8"
_END = 0xD9
_SCAN = 0xDA
_AFTER_SCAN = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD})
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""Inside a scan, 0xff is followed by 0x00, or by the number of a restart; all else is a marker (ITU-T T.81, B.1.1)."""


def jpeg_fault(data: bytes) -> str:
    """What is wrong with the segments of a JPEG, in words; empty when they are whole up to its end."""
    if not data.startswith(_START):
        return "it does not begin like a JPEG"
    at, in_scan = len(_START), False
    while marker := _next_marker(data, at, in_scan):
        code = marker[1][0]
        if code == _END:
            return "" if in_scan else "it has no picture in it"
        if in_scan and code not in _AFTER_SCAN:
            return f"byte {marker.start()} is damaged"
        in_scan = in_scan or code == _SCAN
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return "it ends early" if in_scan or at >= len(data) else f"byte {at} is damaged"


def _next_marker(data: bytes, at: int, in_scan: bool) -> re.Match[bytes] | None:
    """Between segments it must stand right there; after a scan it is looked for."""
    return _MARKER.search(data, at) if in_scan else _MARKER.match(data, at)
