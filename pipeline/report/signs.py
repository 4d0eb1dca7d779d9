"""Signs that no form of a report may hold: they come with labels, names of files and reasons that others wrote."""

from __future__ import annotations

NOT_SHOWN = dict.fromkeys([0, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "�")
"""NUL, which is no character of HTML, and the signs that turn the direction of all text after them."""


def shown(text: str) -> str:
    """Text that encodes as UTF-8 and stands where it is put; names of files may hold bytes that are no text."""
    return text.translate(NOT_SHOWN).encode("utf-8", "replace").decode()


def sound(text: str) -> str:
    """Text as data, every sign of it: only bytes of file names that are no text are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """The same on one line, with nothing that a terminal or a page would take for an order."""
    return " ".join("".join(sign if sign.isprintable() or sign.isspace() else "�" for sign in shown(text)).split())
