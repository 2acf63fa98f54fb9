"""Whom a verifier trusts: c2sp.org/tlog-policy, a small text file that does not come from the ledger.

    log <vkey> [url]
    witness <name> <vkey> [url]
    group <name> all|any|<k> <member>...
    quorum <name>|none

``#`` begins a comment line; fields are separated by ASCII spaces and tabs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.tlog.cosignature import WitnessKey
from tallystick.ledger.tlog.note import VerifierKey

LONGEST_POLICY_CHARACTERS = 1 << 20


class TrustedLog(NamedTuple):
    """A log that the policy trusts."""

    key: VerifierKey
    url: str | None


class Witness(NamedTuple):
    """A witness that the policy knows."""

    name: str
    key: WitnessKey
    url: str | None


class WitnessGroup(NamedTuple):
    """``needed`` of the members."""

    name: str
    needed: int
    members: tuple[str, ...]


class Policy(NamedTuple):
    """A policy, read and found whole.

    Attributes
    ----------
    quorum : str or None
        Name of a witness or group that must have cosigned; None where none is asked for.
    """

    logs: tuple[TrustedLog, ...]
    witnesses: dict[str, Witness]
    groups: dict[str, WitnessGroup]
    quorum: str | None

    def is_met(self, cosigners: Iterable[str]) -> bool:
        """Whether these witnesses, by name, are a quorum."""
        met = self.witnesses.keys() & frozenset(cosigners)
        # In the order of the file, in which a group names only what stands above it: no depth of groups is too deep.
        for group in self.groups.values():
            if sum(member in met for member in group.members) >= group.needed:
                met.add(group.name)
        return self.quorum is None or self.quorum in met


def parse_policy(text: str) -> Policy:
    """Read a policy.

    Raises
    ------
    InvalidInput
        Naming the line. A name must be declared before it is used, once, and belong to one group at most.
    """
    if len(text) > LONGEST_POLICY_CHARACTERS:
        raise InvalidInput("A policy of more than a million characters is not read.")
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        try:
            reader.line(line)
        except InvalidInput as error:
            raise InvalidInput(f"Line {number} of the policy: {error.message}", error.hint) from error
    return reader.policy()


class _Reader:
    def __init__(self) -> None:
        self.logs: list[TrustedLog] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, WitnessGroup] = {}
        self.quorum: list[str] = []
        self.grouped: set[str] = set()

    def line(self, line: str) -> None:
        if any((ord(character) < 0x20 and character != "\t") or ord(character) == 0x7F for character in line):
            raise InvalidInput("It holds a control character.")
        fields = [field for field in re.split(r"[ \t]+", line) if field]
        if not fields or fields[0].startswith("#"):
            return
        match fields:
            case ["log", key, *url] if len(url) <= 1:
                self.logs.append(TrustedLog(VerifierKey.parse(key), url[0] if url else None))
            case ["witness", name, key, *url] if len(url) <= 1:
                self._new(name)
                self.witnesses[name] = Witness(name, WitnessKey.parse(key), url[0] if url else None)
            case ["group", name, needed, *members] if members:
                self._group(name, needed, members)
            case ["quorum", name]:
                if self.quorum:
                    raise InvalidInput("There is a quorum already.")
                if name != "none" and name not in self.witnesses and name not in self.groups:
                    raise InvalidInput(f"{name!r} is no witness or group declared above.")
                self.quorum.append(name)
            case _:
                raise InvalidInput("A line begins with log, witness, group or quorum.")

    def _group(self, name: str, needed: str, members: list[str]) -> None:
        for member in members:
            if member not in self.witnesses and member not in self.groups:
                raise InvalidInput(f"{member!r} is no witness or group declared above.")
            if member in self.grouped:
                raise InvalidInput(f"{member!r} is in a group already.")
            self.grouped.add(member)
        self._new(name)
        if re.fullmatch(r"[1-9][0-9]{0,3}", needed):
            count = int(needed)
        elif needed in ("all", "any"):
            count = len(members) if needed == "all" else 1
        else:
            raise InvalidInput("A group needs all, any, or a number of its members.")
        if count > len(members):
            raise InvalidInput(f"The group needs {count} of only {len(members)} members.")
        self.groups[name] = WitnessGroup(name, count, tuple(members))

    def _new(self, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise InvalidInput(f"The name {name!r} is taken.")

    def policy(self) -> Policy:
        if not self.logs:
            raise InvalidInput("The policy names no log.")
        if len(self.quorum) != 1:
            raise InvalidInput("The policy needs exactly one line that begins with quorum.", "quorum none is one.")
        quorum = None if self.quorum[0] == "none" else self.quorum[0]
        return Policy(tuple(self.logs), self.witnesses, self.groups, quorum)
