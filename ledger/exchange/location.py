"""Addresses of ledgers as MLflow writes them: ``tally:``, ``tally:///abs/folder``, ``tally:///folder?as-of=2026-06-30``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.opening import FOLDER, create, find

FILES_SCHEME = "tally-files"
DIVIDER = "/-/"
"""Between the folder of a ledger and the place of a file, in an address of files."""


class Location(NamedTuple):
    """A ledger, and how to use it."""

    folder: Path
    as_of: str | None
    """A date or position: everything is shown as it was then, and nothing can be written."""
    each: bool
    """Whether every call is a commit of its own, instead of being gathered for two seconds."""

    @property
    def files(self) -> str:
        """The address of its files."""
        return f"{FILES_SCHEME}://{quote(str(self.folder))}{DIVIDER.rstrip('/')}"

    def then(self, files: str) -> str:
        """An address of files, so that they are shown as of the same date as the ledger."""
        if self.as_of is None or not files.startswith(f"{FILES_SCHEME}:"):
            return files
        return f"{files}?as-of={quote(self.as_of, safe='')}"


def parse(uri: str) -> Location:
    """A ledger by its address; one is made in a folder that has none.

    Raises
    ------
    InvalidInput
        For an address that cannot be read.
    NotFound
        When a past date is asked for and there is no ledger.
    """
    parts = urlsplit(uri)
    if parts.scheme != "tally" or parts.netloc:
        raise InvalidInput(
            f"{uri!r} is not the address of a ledger.", "Write tally: or tally:///absolute/folder, with three slashes."
        )
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    odd = options.keys() - {"as-of", "sync"}
    if odd or options.get("sync", "each") != "each":
        raise InvalidInput(
            f"{uri!r} asks for {', '.join(sorted(odd)) or 'sync'}.", "It can be as-of=WHEN or sync=each."
        )
    start = Path(unquote(parts.path) or os.environ.get("TALLY_LEDGER") or ".").absolute()
    return Location(_folder(start, "as-of" in options), options.get("as-of"), options.get("sync") == "each")


def _folder(start: Path, only_read: bool) -> Path:
    found = start if (start / "ledger.db").is_file() else find(start)
    if found is not None:
        return found.absolute()
    if only_read:
        raise NotFound(f"There is no ledger in {start} or above.", "Make one with tally init.")
    try:
        create(start).close()
    except (InvalidInput, Refused):
        # Several processes of one training begin at the same moment, and another was quicker.
        made = find(start)
        if made is None:
            raise
        return made.absolute()
    return start / FOLDER


class Place(NamedTuple):
    """Where a file belongs: which ledger, which trial or kept model, and its path there."""

    folder: Path
    trial_id: str | None
    logged: str | None
    path: str
    as_of: str | None = None


def place_of(uri: str) -> Place:
    """A place by its address ``tally-files:///folder/-/EXPERIMENT/RUN/artifacts/PATH``, or below ``…/models/ID``.

    Raises
    ------
    InvalidInput
        For an address of nothing that has files.
    """
    parts = urlsplit(uri)
    folder, divider, rest = (unquote(parts.path) + "/").partition(DIVIDER)
    if parts.scheme != FILES_SCHEME or not divider:
        raise InvalidInput(f"{uri!r} is not an address of files in a ledger.")
    as_of = parse_qs(parts.query).get("as-of", [None])[-1]
    steps = [step for step in rest.split("/") if step]
    if ".." in steps:
        raise InvalidInput(f"{uri!r} leads out of its folder.")
    for at, step in enumerate(steps):
        if step == "artifacts" and at:
            inner = "/".join(steps[at + 1 :])
            if at > 1 and steps[at - 2] == "models":
                return Place(Path(folder), None, steps[at - 1], inner, as_of)
            return Place(Path(folder), steps[at - 1], None, inner, as_of)
    return Place(Path(folder), None, None, "/".join(steps), as_of)
