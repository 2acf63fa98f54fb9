"""A value that followed from an event whose content was erased: it was something, and nobody can say what.

It stands in a state in place of the value, whatever the value's type. Whoever asks it for a part gets itself, so that
no caller can take an erased value for an absent one, and every text made of it says that it is unknown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec


class _Guesses(threading.local):
    count = 0


_guesses = _Guesses()


def guesses() -> int:
    """How often this thread compared an unknown value with another, or made a text of it.

    A fold that did so may have taken a branch that the erased event would not have taken.
    """
    return _guesses.count


class Unknown(msgspec.Struct, frozen=True, tag_field="unknown", tag="erased"):
    """What stands in place of a value that an erased event gave."""

    event: int
    """Position of the erased event."""
    redaction: int
    """Position of the ``event.redacted`` that says so."""
    on: str
    """The day of the erasure in the ledger's zone, ``2013-07-01``."""

    @property
    def words(self) -> str:
        """``unknown: the content of #50 was erased on 2013-07-01``."""
        return f"unknown: the content of #{self.event} was erased on {self.on}"

    def _guess(self) -> bool:
        _guesses.count += 1
        return False

    def __str__(self) -> str:
        self._guess()
        return self.words

    def __format__(self, _spec: str) -> str:
        return str(self)

    def __getattr__(self, name: str) -> Unknown:
        if name.startswith("_"):  # Python's own protocols ask for those
            raise AttributeError(name)
        return self

    def __call__(self, *_: object, **__: object) -> Unknown:
        return self

    def __getitem__(self, _: object) -> Unknown:
        return self

    def __iter__(self) -> Iterator[Unknown]:
        self._guess()
        return iter(())

    def __len__(self) -> int:
        self._guess()
        return 0

    def __contains__(self, _: object) -> bool:
        return self._guess()

    def __bool__(self) -> bool:
        self._guess()
        return True

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Unknown):
            return (self.event, self.redaction) == (other.event, other.redaction)
        return self._guess()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.event, self.redaction))

    def __lt__(self, _: object) -> bool:
        return self._guess()

    __le__ = __gt__ = __ge__ = __lt__

    def __add__(self, _: object) -> Unknown:
        return self

    __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __add__


def is_unknown(value: object) -> bool:
    """Whether a field of a state is unknown, whatever its declared type."""
    return isinstance(value, Unknown)
