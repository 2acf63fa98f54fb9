"""The artifacts that events name: there and of the right size, or read and hashed."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from tallystick.ledger.errors import Damaged, InvalidInput, NotFound, TallyError
from tallystick.ledger.events.sentences import count
from tallystick.ledger.storage.artifacts import LARGE_BYTES, Objects
from tallystick.ledger.verify.report import Progress, Results


class ArtifactCheck:
    """The check of the files in one ledger's folder.

    Parameters
    ----------
    results : Results
        Where findings go.
    read_data : bool
        Hash every artifact instead of comparing presence and size.
    some_only : bool
        Not every event was read, so there may be artifacts besides these.
    """

    def __init__(
        self, objects: Objects, results: Results, progress: Progress, *, read_data: bool, some_only: bool = False
    ) -> None:
        self.objects = objects
        self.results = results
        self.progress = progress
        self.read_data = read_data
        self.some_only = some_only

    def check(self, names: Mapping[str, int]) -> None:
        """Check every artifact by its name and the size that the event says."""
        absent, wrong, held = [], 0, 0
        for done, (name, size_bytes) in enumerate(sorted(names.items())):
            self.progress("artifacts", done, len(names))
            try:
                words = self._artifact(name, size_bytes)
            except NotFound:
                absent.append(name)
                continue
            if words is None:
                held += 1
                continue
            wrong += 1
            self.results.add(
                "ARTIFACT",
                f"artifact:{name}",
                words,
                expected=name,
                next="Restore the file from a backup; the ledger itself is not affected.",
            )
        how = "re-hashed and unchanged" if self.read_data else "here, of the right size (--read-data hashes them)"
        which = "artifacts named in what was read" if self.some_only else "artifacts"
        line = f"{held} of {len(names)} {which} {how}"
        if wrong:
            line += f", {wrong} CHANGED"
        if absent:
            listed = ", ".join(f"{name[:12]}…" for name in absent[:3])
            line += f", {len(absent)} NOT HERE ({listed}{' …' if len(absent) > 3 else ''})"
            self.results.shortfalls.append(f"{count(len(absent), 'artifact')} that the ledger names: not here.")
        self.results.lines.append(("models", line))

    def _artifact(self, name: str, size_bytes: int) -> str | None:
        """What is wrong with an artifact, in words; NotFound where it is not here."""
        try:
            found = self.objects.size_bytes(name)
            # Nobody reads a whole disk to learn what its size says already.
            if self.read_data and found == size_bytes:
                self.objects.get(name)
        except (Damaged, InvalidInput) as error:
            return error.message
        if found != size_bytes:
            # An event may be wrong about a size, by mistake or by malice; the name says what is in the file.
            if found > LARGE_BYTES or not self._holds(name):
                return f"Artifact {name[:12]}… has {found:,} bytes instead of {size_bytes:,}."
            self.results.warnings.append(
                f"An event says that artifact {name[:12]}… has {size_bytes:,} bytes, but what has that hash has "
                f"{found:,}: the event is wrong, the file is not."
            )
        return None

    def _holds(self, name: str) -> bool:
        with contextlib.suppress(TallyError):
            self.objects.get(name)
            return True
        return False
