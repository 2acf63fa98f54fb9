"""The part of YAML in which MLflow writes its ``meta.yaml``, read without guessing types.

PyYAML's safe writer in block style makes mappings of scalars, with lists and mappings inside them. A scalar is plain,
in single or in double quotes, and may be folded over several lines. Everything is read as text, since a run that is
named ``0123`` is no number; only a plain ``null``, ``~`` or nothing at all is None. What is outside of that part
(anchors, tags, block scalars, flow collections that are not empty, several documents) is refused.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from tallystick.ledger.errors import InvalidInput

Value: TypeAlias = "str | list[Value] | dict[str, Value] | None"

MOST_CHARACTERS = 20 << 20
MOST_LEVELS = 20
_PLAIN_KEY = re.compile(
    r"([^ \n\t'\"#&*!|>%@`{}\[\],?:-](?:[^\n#]|(?<! )#)*?|[?:-][^ \n\t](?:[^\n#]|(?<! )#)*?):(?=[ \n]|$)"
)
_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\n|.)", re.DOTALL)
_SIGNS = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r",
          "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028",
          "P": "\u2029"}  # fmt: skip


def read_mapping(text: str) -> dict[str, Value]:
    """The mapping that a whole text is.

    Raises
    ------
    InvalidInput
        With the line, for what is outside of that part of YAML.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"It has {len(text):,} characters, more than are read.")
    reader = _Reader(text.removeprefix("\ufeff").replace("\r\n", "\n"))
    found = reader.block(0, 0)
    reader.skip_empty()
    if not reader.at_end():
        raise reader.error("is not indented as the lines before it")
    if not isinstance(found, dict):
        raise InvalidInput("It is not a mapping.")
    return found


class _Reader:
    """Reads down the text; ``at`` is the place of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, words: str) -> InvalidInput:
        """What is wrong at this place."""
        return InvalidInput(f"Line {self.text.count(chr(10), 0, self.at) + 1} {words}.")

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self.at >= len(self.text)

    def skip_empty(self) -> None:
        """Go to the beginning of the next line that says something."""
        while not self.at_end():
            end = self._line_end(self.at)
            line = self.text[self.at : end].strip(" ")
            if line and not line.startswith("#"):
                return
            self.at = min(end + 1, len(self.text))

    def block(self, indent: int, level: int, *, begun: bool = False) -> Value:
        """A mapping or a list whose lines begin after ``indent`` spaces; an empty one is ``{}``.

        ``begun``: the first of them began after a dash, and this is the place behind it.
        """
        if level > MOST_LEVELS:
            raise self.error("is nested too deep")
        if not begun:
            self.skip_empty()
        if not self.at_end() and self._is_item(self.at if begun else self.at + self._indent()):
            return self._list(indent, level, begun=begun)
        found: dict[str, Value] = {}
        while True:
            if not begun:
                self.skip_empty()
                if self.at_end() or self._indent() != indent:
                    return found
                self.at += indent
            begun = False
            if self.text.startswith("{}", self.at) and not found:
                self.at += 2
                self._end_of_line()
                return found
            key = self._key()
            if key in found:
                raise self.error(f"says {key[:60]!r} again")
            found[key] = self._value(indent, level)

    def _list(self, indent: int, level: int, *, begun: bool = False) -> list[Value]:
        found: list[Value] = []
        while True:
            if not begun:
                self.skip_empty()
                if self.at_end() or self._indent() != indent or not self._is_item(self.at + indent):
                    return found
                self.at += indent
            begun = False
            self.at += 1
            inner = self._spaces(self.at)
            if self._is_item(self.at + inner) or self._begins_pair(self.at + inner):
                # `- key: value`: the rest of the line is the first of a block, as deep as it begins.
                self.at += inner
                found.append(self.block(indent + 1 + inner, level + 1, begun=True))
            else:
                found.append(self._value(indent, level))

    def _value(self, indent: int, level: int) -> Value:
        """What follows a key or a dash: on the same line, or in a block below."""
        self.at += self._spaces(self.at)
        if self.at_end() or self.text[self.at] == "\n" or self.text.startswith("#", self.at):
            self.at = min(self._line_end(self.at) + 1, len(self.text))
            self.skip_empty()
            deeper = 0 if self.at_end() else self._indent()
            if deeper > indent:
                if self._begins_pair(self.at + deeper) or self._is_item(self.at + deeper):
                    return self.block(deeper, level + 1)
                self.at += deeper
                return self._scalar(indent)
            if not self.at_end() and deeper == indent and self._is_item(self.at + deeper):
                # PyYAML does not indent the items of a list below a key.
                return self._list(indent, level + 1)
            return None
        return self._scalar(indent)

    # Scalars -----------------------------------------------------------------------------------------------

    def _scalar(self, indent: int) -> Value:
        for empty in ("[]", "{}"):
            if self.text.startswith(empty, self.at):
                self.at += 2
                self._end_of_line()
                return [] if empty == "[]" else {}
        sign = self.text[self.at]
        if sign in "'\"":
            found = self._quoted(sign)
            self._end_of_line()
            return found
        if sign in "&*!|>%@`{}[],?" and not (sign in "?" and self.text[self.at + 1 : self.at + 2].strip(" \n")):
            raise self.error(f"begins with {sign}, which is not read here")
        return self._plain(indent)

    def _plain(self, indent: int) -> str | None:
        end = self._line_end(self.at)
        lines = [_without_remark(self.text[self.at : end])]
        if ": " in lines[0] or lines[0].endswith(":"):
            raise self.error("holds a colon in a text that is not quoted")
        self.at = min(end + 1, len(self.text))
        # A plain text goes on in lines that are indented deeper than its key.
        while not self.at_end():
            end = self._line_end(self.at)
            line = self.text[self.at : end]
            if line.strip(" ") and (self._spaces(self.at) <= indent or line.strip(" ").startswith("#")):
                break
            if not line.strip(" ") and not self._goes_on(end + 1, indent):
                break
            lines.append(_without_remark(line))
            self.at = min(end + 1, len(self.text))
        found = _folded("\n".join(lines))
        return None if found in ("null", "Null", "NULL", "~", "") else found

    def _goes_on(self, at: int, indent: int) -> bool:
        """Whether, after empty lines, one follows that is indented deeper."""
        while at < len(self.text):
            end = self._line_end(at)
            if self.text[at:end].strip(" "):
                return self._spaces(at) > indent
            at = end + 1
        return False

    def _quoted(self, sign: str) -> str:
        begin = self.at + 1
        at = begin
        while True:
            at = self.text.find(sign, at)
            if at < 0:
                raise self.error("begins a quoted text that does not end")
            if sign == "'" and self.text.startswith("''", at):
                at += 2
            elif sign == '"' and self._is_escaped(at, begin):
                at += 1
            else:
                break
        raw = self.text[begin:at]
        found = _folded(raw).replace("''", "'") if sign == "'" else self._unescaped(raw)
        self.at = at + 1
        return found

    def _is_escaped(self, at: int, begin: int) -> bool:
        strokes = 0
        while at - strokes > begin and self.text[at - strokes - 1] == "\\":
            strokes += 1
        return strokes % 2 == 1

    def _unescaped(self, raw: str) -> str:
        parts, last = [], 0
        for escape in _ESCAPE.finditer(raw):
            if escape.start() < last:
                continue  # within the spaces that a break takes with it
            before, word = raw[last : escape.start()], escape[1]
            last = escape.end()
            parts.append((before, False))
            if word == "\n":
                # An escaped break joins two lines, without the spaces that indent the second.
                while last < len(raw) and raw[last] in " \t":
                    last += 1
            elif word[0] in "xuU" and len(word) > 1:
                parts.append((self._character(word), True))
            elif word in _SIGNS:
                parts.append((_SIGNS[word], True))
            else:
                raise self.error(f"holds \\{word}, which means nothing")
        parts.append((raw[last:], False))
        return _join_surrogates("".join(text if made else _folded(text) for text, made in parts))

    def _character(self, word: str) -> str:
        number = int(word[1:], 16)
        if number > 0x10FFFF:
            raise self.error(f"holds \\{word}, which is no character")
        return chr(number)

    # Places ------------------------------------------------------------------------------------------------

    def _key(self) -> str:
        if self.text[self.at] in "'\"":
            found = self._quoted(self.text[self.at])
            if not self.text.startswith(":", self.at):
                raise self.error("has a quoted text that is no key")
            self.at += 1
            return found
        key = _PLAIN_KEY.match(self.text, self.at)
        if key is None:
            raise self.error("has no key")
        self.at = key.end()
        return key[1].rstrip(" ")

    def _begins_pair(self, at: int) -> bool:
        """Whether a key stands at a place."""
        if self.text[at : at + 1] in ("'", '"'):
            probe = _Reader(self.text)
            probe.at = at
            try:
                probe._quoted(self.text[at])
            except InvalidInput:
                return False
            return re.match(r":(?=[ \n]|$)", self.text[probe.at : probe.at + 2]) is not None
        return _PLAIN_KEY.match(self.text, at) is not None

    def _is_item(self, at: int) -> bool:
        return self.text.startswith("-", at) and self.text[at + 1 : at + 2] in ("", " ", "\n")

    def _end_of_line(self) -> None:
        end = self._line_end(self.at)
        rest = self.text[self.at : end].strip(" ")
        if rest and not rest.startswith("#"):
            raise self.error("goes on after its value")
        self.at = min(end + 1, len(self.text))

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _indent(self) -> int:
        return self._spaces(self.at)

    def _spaces(self, at: int) -> int:
        count = 0
        while self.text.startswith(" ", at + count):
            count += 1
        return count


def _without_remark(line: str) -> str:
    at = line.find(" #")
    return line if at < 0 else line[:at]


def _folded(raw: str) -> str:
    """Lines of one scalar as one text: a break is a space, and each empty line a break."""
    lines = raw.split("\n")
    if len(lines) == 1:
        return raw
    trimmed = [lines[0].rstrip(" \t"), *(line.strip(" \t") for line in lines[1:-1]), lines[-1].lstrip(" \t")]
    found, empty = trimmed[0], 0
    for line in trimmed[1:-1]:
        if not line:
            empty += 1
            continue
        found += "\n" * empty if empty else " "
        found += line
        empty = 0
    return found + ("\n" * empty if empty else " ") + trimmed[-1]


def _join_surrogates(text: str) -> str:
    """Two escapes that make one character of the upper planes; a lone half becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
