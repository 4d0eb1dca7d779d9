"""Motion JPEG over HTTP, read with the standard library: the camera's own bytes, with the delay of the network only.

A connection goes straight to the camera, never through a proxy.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message

from calibration.errors import BadImage, CameraGone
from capture.cameras.jpeg import jpeg_fault
from capture.frame import Frame
from capture.picture import decode_picture

LONGEST_PICTURE = 64 * 2**20
_BROKEN = (OSError, http.client.HTTPException, ValueError)


class MjpegConnection:
    """A ``multipart/x-mixed-replace`` answer, part by part.

    ``name`` is the address as it may be shown, ``timeout_s`` the longest silence.
    """

    def __init__(self, url: str, name: str, timeout_s: float) -> None:
        self._name = name
        self._timeout_s = timeout_s
        self._jpeg = b""
        self._at_boundary = False
        self._said: dict[str, str | int | float] = {}
        self._response = _answer(url, name, timeout_s)
        try:
            self._boundary = _boundary(self._response.headers, name)
        except CameraGone:
            self.close()
            raise

    def grab(self) -> None:
        """Read the next part."""
        try:
            headers = self._part_headers()
            length = headers.get("content-length")
            self._jpeg = self._read_exactly(int(length)) if length else self._read_to_end()
        except TimeoutError as error:
            stalled = f"{self._name} stalled: no picture within {self._timeout_s:g} s"
            raise CameraGone(stalled, where=self._name) from error
        except _BROKEN as error:
            raise CameraGone(f"{self._name} broke off: {error}", where=self._name) from error
        self._said = {key: value for key, value in headers.items() if not key.startswith("content-")}

    def evidence(self) -> bytes:
        """The part read last; :class:`BadImage` when its JPEG is not whole."""
        if fault := jpeg_fault(self._jpeg):
            raise BadImage(f"{self._name} sent a damaged JPEG: {fault}", where=self._name)
        return self._jpeg

    def frame(self, t_mono_ns: int, t_wall_ns: int) -> Frame:
        """The part read last; its own header lines (a camera's time stamp, for example) are the settings."""
        jpeg = self.evidence()
        return Frame(
            pixels=decode_picture(jpeg, self._name),
            t_mono_ns=t_mono_ns,
            t_wall_ns=t_wall_ns,
            encoded=jpeg,
            suffix=".jpg",
            settings=self._said,
        )

    def close(self) -> None:
        """Hang up."""
        self._response.close()

    def _line(self) -> bytes:
        line = self._response.readline(LONGEST_PICTURE)
        if not line:
            raise OSError("the stream ended")
        return line

    def _part_headers(self) -> dict[str, str]:
        while not self._at_boundary:
            self._at_boundary = self._line().startswith(self._boundary)
        self._at_boundary = False
        headers: dict[str, str] = {}
        while line := self._line().strip():
            key, _, value = line.decode("latin-1").partition(":")
            headers[key.strip().lower()] = value.strip()
        return headers

    def _read_exactly(self, length: int) -> bytes:
        if not 0 < length <= LONGEST_PICTURE:
            raise ValueError(f"a picture of {length} bytes is announced; up to {LONGEST_PICTURE} are taken")
        data = self._response.read(length)
        if len(data) < length:
            raise OSError(f"the stream ended {length - len(data)} bytes before the end of a picture")
        return data

    def _read_to_end(self) -> bytes:
        """Without a length: up to the marker that ends every JPEG, which cannot occur inside its scan.

        A torn picture has none; it ends where the next part begins.
        """
        data = bytearray()
        while not data.endswith(b"\xff\xd9\r\n"):
            line = self._line()
            if line.startswith(self._boundary):
                self._at_boundary = True
                break
            data += line
            if len(data) > LONGEST_PICTURE:
                raise ValueError(f"a picture does not end within {LONGEST_PICTURE} bytes")
        return bytes(data[:-2])


def _answer(url: str, name: str, timeout_s: float) -> http.client.HTTPResponse:
    parts = urllib.parse.urlsplit(url)
    bare = urllib.parse.urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        user, word = (urllib.parse.unquote(part or "") for part in (parts.username, parts.password))
        passwords.add_password(None, bare, user, word)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )
    try:
        response: http.client.HTTPResponse = opener.open(bare, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise CameraGone(f"{name} answers {error.code} {error.reason}", where=name) from error
    except _BROKEN as error:
        raise CameraGone(f"{name} does not answer: {_why(error)}", where=name) from error
    return response


def _why(error: BaseException) -> str:
    return str(error.reason) if isinstance(error, urllib.error.URLError) else str(error)


def _boundary(headers: Message, name: str) -> bytes:
    boundary = headers.get_param("boundary")
    if headers.get_content_maintype() != "multipart" or not isinstance(boundary, str):
        raise CameraGone(
            f"{name} sends {headers.get_content_type()}, not multipart/x-mixed-replace (motion JPEG)",
            hint="use the address of the camera's motion JPEG stream",
            where=name,
        )
    return b"--" + boundary.strip().strip('"').removeprefix("--").encode("latin-1")
