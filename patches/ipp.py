"""The Internet Printing Protocol: a request as bytes, an answer as attributes, over HTTP.

Encoding: RFC 8010. Operations, attributes and status codes: RFC 8011. Why this is here and no package is used:
docs/decisions/0011-printing.md.
"""

from __future__ import annotations

import enum
import http
import http.client
import itertools
import ssl
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

from calibration.errors import BadUsage, NoPrintServer, PrintRefused

VERSION = (2, 0)
DEFAULT_PORT = 631
CONTENT_TYPE = "application/ipp"
IS_ENCRYPTED = {"ipp": False, "http": False, "ipps": True, "https": True}
TIMEOUT_S = 30.0
SERVER_HINT = "start CUPS (Debian: apt-get install cups), or name another server: --server HOST:PORT"
ENCRYPTION_HINT = "its encryption or certificate is not accepted: print through a queue of CUPS, or to ipp:// without"
OK_LIMIT = 0x0100
"""Status codes below are successes."""


class Operation(enum.IntEnum):
    """What is asked of a printer or of a server of printers."""

    VALIDATE_JOB = 0x0004
    CREATE_JOB = 0x0005
    SEND_DOCUMENT = 0x0006
    CANCEL_JOB = 0x0008
    GET_JOB_ATTRIBUTES = 0x0009
    GET_JOBS = 0x000A
    GET_PRINTER_ATTRIBUTES = 0x000B
    CUPS_GET_PRINTERS = 0x4002


class Status(enum.IntEnum):
    """The status codes that are told apart."""

    NOT_FOUND = 0x0406
    FORMAT_NOT_SUPPORTED = 0x040A
    ATTRIBUTES_OR_VALUES = 0x040B


class Group(enum.IntEnum):
    """Which group of a message attributes belong to."""

    OPERATION = 0x01
    JOB = 0x02
    END = 0x03
    PRINTER = 0x04
    UNSUPPORTED = 0x05


class Tag(enum.IntEnum):
    """The types of values that are written, or read as more than text."""

    INTEGER = 0x21
    BOOLEAN = 0x22
    ENUM = 0x23
    RESOLUTION = 0x32
    RANGE = 0x33
    BEGIN_COLLECTION = 0x34
    TEXT_WITH_LANGUAGE = 0x35
    NAME_WITH_LANGUAGE = 0x36
    END_COLLECTION = 0x37
    NAME = 0x42
    KEYWORD = 0x44
    URI = 0x45
    CHARSET = 0x47
    LANGUAGE = 0x48
    MIME_TYPE = 0x49


LAST_GROUP = 0x0F
LAST_OUT_OF_BAND = 0x1F
"""Values that say "unknown", "unsupported", "no value" instead of one."""

DOTS_PER_CM = 4


class Resolution(NamedTuple):
    """Dots across and along the paper, per unit (3: inch, 4: cm)."""

    across: int
    along: int
    unit: int = 3

    @property
    def dpi(self) -> tuple[int, int]:
        """Dots per inch, across and along."""
        factor = 2.54 if self.unit == DOTS_PER_CM else 1
        return round(self.across * factor), round(self.along * factor)


Value: TypeAlias = int | bool | str | Resolution | tuple[int, int]


@dataclass(frozen=True, slots=True)
class Attribute:
    """A name with values of one type, to be sent."""

    name: str
    tag: Tag
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Attributes:
    """What came back: name → values. One that is "unknown" or "unsupported" has none."""

    found: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name in self.found

    def all(self, name: str) -> tuple[Value, ...]:
        """Every value, of any type."""
        return self.found.get(name, ())

    def texts(self, name: str) -> tuple[str, ...]:
        """The values that are words."""
        return tuple(value for value in self.all(name) if isinstance(value, str))

    def text(self, name: str) -> str:
        """The first of them; empty when there is none."""
        return next(iter(self.texts(name)), "")

    def number(self, name: str) -> int | None:
        """The first value that is a number (of an enumeration, too); None when there is none."""
        return next((value for value in self.all(name) if isinstance(value, int)), None)

    def resolutions(self, name: str) -> tuple[Resolution, ...]:
        """The values that are resolutions."""
        return tuple(value for value in self.all(name) if isinstance(value, Resolution))


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with its words, and the groups of attributes: printers, jobs, what was not supported."""

    status: int
    message: str = ""
    printers: tuple[Attributes, ...] = ()
    jobs: tuple[Attributes, ...] = ()
    unsupported: Attributes = field(default_factory=Attributes)

    @property
    def ok(self) -> bool:
        """Whether the operation was done."""
        return self.status < OK_LIMIT


def attribute(name: str, tag: Tag, *values: Value) -> Attribute:
    """An :class:`Attribute` of these values."""
    return Attribute(name, tag, values)


def ask(
    uri: str,
    operation: Operation,
    attributes: Sequence[Attribute] = (),
    *,
    job: Sequence[Attribute] = (),
    document: bytes = b"",
    user: str = "dpcam",
) -> Answer:
    """Send an operation to the printer (or server) at ``uri`` and wait for the answer.

    :class:`NoPrintServer` when nothing answers there, or something that does not speak IPP; :class:`PrintRefused` when
    it asks for a password; :class:`BadUsage` when ``uri`` is none.
    """
    first = [
        attribute("attributes-charset", Tag.CHARSET, "utf-8"),
        attribute("attributes-natural-language", Tag.LANGUAGE, "en"),
        attribute("printer-uri", Tag.URI, uri),
    ]
    # The job's number comes right behind the printer's address (RFC 8011, 4.1.5).
    named = sorted(attributes, key=lambda each: each.name != "job-id")
    who = [attribute("requesting-user-name", Tag.NAME, user)]
    body = encode(operation, {Group.OPERATION: [*first, *named[:1], *who, *named[1:]], Group.JOB: job}) + document
    return decode(_post(uri, body), uri)


def encode(operation: Operation, groups: dict[Group, Sequence[Attribute]]) -> bytes:
    """A request without its document."""
    head = struct.pack(">BBHI", *VERSION, operation, 1)
    parts = [bytes([group]) + b"".join(map(_encoded, members)) for group, members in groups.items() if members]
    return head + b"".join(parts) + bytes([Group.END])


def _encoded(each: Attribute) -> bytes:
    names = itertools.chain([each.name.encode()], itertools.repeat(b""))
    return b"".join(
        bytes([each.tag]) + _with_length(name) + _with_length(_value_bytes(each.tag, value))
        for name, value in zip(names, each.values, strict=False)
    )


def _with_length(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _value_bytes(tag: Tag, value: Value) -> bytes:
    if isinstance(value, tuple):
        return struct.pack(">iib", *value)
    if tag == Tag.BOOLEAN:
        return struct.pack(">?", value)
    return struct.pack(">i", value) if isinstance(value, int) else value.encode()


def decode(data: bytes, uri: str) -> Answer:
    """The answer in ``data``; :class:`NoPrintServer` when it is none."""
    try:
        status = struct.unpack_from(">xxH", data)[0]
        groups = list(_groups(data))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise NoPrintServer(f"what answers at {uri} does not speak IPP: {error}", where=uri) from error
    of = {group: tuple(found for kind, found in groups if kind == group) for group in Group}
    words, unsupported = (next(iter(of[group]), Attributes()) for group in (Group.OPERATION, Group.UNSUPPORTED))
    return Answer(status, words.text("status-message"), of[Group.PRINTER], of[Group.JOB], unsupported)


def _groups(data: bytes) -> Iterator[tuple[int, Attributes]]:
    """Every group with its attributes; what is inside of collections is left out."""
    at, depth, name, group = 8, 0, "", 0
    found: dict[str, tuple[Value, ...]] = {}
    while (tag := data[at]) != Group.END:
        at += 1
        if tag <= LAST_GROUP:
            if group:
                yield group, Attributes(found)
            group, found = tag, {}
            continue
        key, at = _piece(data, at)
        value, at = _piece(data, at)
        depth -= tag == Tag.END_COLLECTION
        if depth == 0 and tag != Tag.END_COLLECTION:
            name = key.decode() or name
            found[name] = (*found.get(name, ()), *_read(tag, value))
        depth += tag == Tag.BEGIN_COLLECTION
    if group:
        yield group, Attributes(found)


def _piece(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length before them, and where they end."""
    (length,) = struct.unpack_from(">H", data, at)
    end = at + 2 + length
    if end > len(data):
        raise IndexError(f"{length} bytes are announced, {len(data) - at - 2} are there")
    return data[at + 2 : end], end


def _read(tag: int, value: bytes) -> tuple[Value, ...]:
    """The value as one of no or one; of a collection nothing."""
    if tag <= LAST_OUT_OF_BAND or tag == Tag.BEGIN_COLLECTION:
        return ()
    if tag in (Tag.INTEGER, Tag.ENUM):
        return (int(struct.unpack(">i", value)[0]),)
    if tag == Tag.BOOLEAN:
        return (value != b"\0",)
    if tag == Tag.RESOLUTION:
        return (Resolution(*struct.unpack(">iib", value)),)
    if tag == Tag.RANGE:
        low, high = struct.unpack(">ii", value)
        return ((low, high),)
    if tag in (Tag.TEXT_WITH_LANGUAGE, Tag.NAME_WITH_LANGUAGE):
        _, at = _piece(value, 0)
        value, _ = _piece(value, at)
    return (value.decode("utf-8", "replace"),)


def _post(uri: str, body: bytes) -> bytes:
    parts = _split(uri)
    kind = http.client.HTTPSConnection if IS_ENCRYPTED[parts.scheme] else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port or DEFAULT_PORT, timeout=TIMEOUT_S)
    try:
        connection.request("POST", parts.path or "/", body, {"Content-Type": CONTENT_TYPE})
        answer = connection.getresponse()
        data = answer.read()
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        hint = ENCRYPTION_HINT if isinstance(error, ssl.SSLError) else SERVER_HINT
        raise NoPrintServer(f"no print server answers at {parts.netloc}: {error}", hint=hint, where=uri) from error
    finally:
        connection.close()
    return _body(answer, data, uri)


def _split(uri: str) -> SplitResult:
    try:
        parts = urlsplit(uri)
        plain = uri.isascii() and uri.isprintable() and " " not in uri
        known = plain and parts.scheme in IS_ENCRYPTED and parts.hostname and (parts.port or DEFAULT_PORT)
    except ValueError:
        known = False
    if not known:
        raise BadUsage(f"{uri!r} is no address of a printer; ipp://HOST[:PORT]/PATH is accepted (also ipps)")
    return parts


def _body(answer: http.client.HTTPResponse, data: bytes, uri: str) -> bytes:
    if answer.status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN, http.HTTPStatus.UPGRADE_REQUIRED):
        raise PrintRefused(
            f"{uri} lets nobody in without a password or encryption: HTTP {answer.status} {answer.reason}",
            hint="allow this user in the policies of the print server",
            where=uri,
        )
    if answer.status != http.HTTPStatus.OK or answer.headers.get_content_type() != CONTENT_TYPE:
        raise NoPrintServer(f"what answers at {uri} does not speak IPP: HTTP {answer.status}", where=uri)
    return data
