"""Making foreign text safe to print. Everything that comes out of a ledger or a file goes through here."""

from __future__ import annotations

import unicodedata

LONGEST = 2_000


def show(text: object, longest: int = LONGEST) -> str:
    """Text in which nothing can move the cursor, change colours, or turn the reading direction.

    Control characters (C0, DEL, C1), format characters (which include the bidirectional controls and
    zero-width characters), line and paragraph separators, unpaired surrogates and private-use characters are
    written as ``\\x1b`` or ``\\u202e``; longer text is clipped, and says so.

    Examples
    --------
    >>> show("red\\x1b[31m and \\u202eback")
    'red\\\\x1b[31m and \\\\u202eback'
    >>> show("abcdef", longest=4)
    'abc…'
    """
    whole = str(text)
    clipped = whole if len(whole) <= longest else whole[: longest - 1] + "…"
    # Nothing of what is escaped is printable to Python either; the reverse is not so, as for a no-break space.
    if clipped.isprintable():
        return clipped
    return "".join(c if c.isprintable() or _is_harmless(c) else _escape(c) for c in clipped)


def show_lines(text: str, longest: int = 20_000) -> str:
    """Like :func:`show` for text of several lines: line breaks stay, everything else is made visible."""
    return "\n".join(show(line, longest) for line in text.split("\n"))


def _is_harmless(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
