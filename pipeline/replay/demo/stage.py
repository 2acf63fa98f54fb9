"""Where a story is lived: a ledger with a replayed clock, people who act in it, and data that arrives month by month.

Nothing is made up by the stage: each step calls what the command of that name calls, on the flights that were known
by then. Only the clock is the story's, and the ledger says so in its first event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tallystick import ledger
from tallystick.ledger.system.provenance import Recorder, this_process
from tallystick.ledger.system.replay_clock import StoryClock
from tallystick.ledger.tlog import key_store, pins
from tallystick.pipeline.config.load import LoadedPipeline, read
from tallystick.pipeline.runs.run import Progress

ZONE = ZoneInfo("America/New_York")
FLIGHTS = "late-arrivals.parquet"
FILE = "late-arrivals.toml"


class Person(NamedTuple):
    """Somebody in the story; what they do is recorded under their address."""

    name: str
    address: str


class Stage:
    """One story on its way.

    Parameters
    ----------
    folder : Path
        An empty folder; the ledger, the pipeline file and the flights come into it.
    founder : Person
        Who makes the ledger.
    name : str
        Beginning of the ledger's origin.
    begins : datetime
        The first moment of the story, aware of its zone.
    workers : int
        Processes that fit at the same time; nothing depends on it but the time that it takes.
    on_progress : callable
        Told what is being done, and how much of how much of the story is over.
    """

    def __init__(
        self, folder: Path, founder: Person, *, name: str, begins: dt.datetime, workers: int, on_progress: Progress
    ) -> None:
        self.folder = folder
        self.workers = workers
        self._on_progress = on_progress
        self._doing, self._begun, self._parts, self._of = "", 0, 0, 1
        self.clock = StoryClock(begins)
        with ledger.create(
            folder,
            name=name,
            timezone=ZONE.key,
            clock_kind="replayed",
            key_home="file",
            recorder=_recorder(founder),
            clock=self.clock,
        ) as book:
            self.origin = book.origin
            self._key = book.identity.key
        (folder / "flights").mkdir()
        self.file.write_text(_shipped(FILE).read_text(encoding="utf-8"), encoding="utf-8")
        with resources.as_file(_shipped(FLIGHTS)) as path:
            self._flights = pq.read_table(path)
        moments = self._flights["time_hour"].cast(pa.timestamp("us", ZONE.key))
        self._months = pc.strftime(moments, format="%Y-%m")

    @property
    def file(self) -> Path:
        """The pipeline file, which a reader may open beside the ledger."""
        return self.folder / FILE

    def pipeline(self) -> LoadedPipeline:
        """The pipeline file as it stands."""
        return read(self.file)

    def arrive(self, *months: str) -> None:
        """The flights of some months come in; nothing of the story knew them before."""
        for month in months:
            pq.write_table(
                self._flights.filter(pc.equal(self._months, month)), self.folder / "flights" / f"{month}.parquet"
            )

    def edit(self, changes: dict[str, str]) -> None:
        """Somebody changes the pipeline file; each text must be there exactly once."""
        text = self.file.read_text(encoding="utf-8")
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.file.write_text(text, encoding="utf-8")

    def begin(self, doing: str, begun: int, parts: int, of: int) -> None:
        """A step begins, after ``begun`` parts of the whole story; it takes ``parts`` of ``of``."""
        self._doing, self._begun, self._parts, self._of = doing, begun, parts, of
        self.progress("", 0, 1)

    def progress(self, _what: str, done: int, total: int) -> None:
        """How far the step is, told as how far the story is."""
        self._on_progress(self._doing, round(100 * (self._begun + self._parts * done / max(total, 1)) / self._of), 100)

    @contextmanager
    def as_person(self, person: Person) -> Iterator[ledger.Ledger]:
        """The ledger in the hands of somebody; account and machine stay those that it is really made on."""
        with ledger.open(self.folder, recorder=_recorder(person), clock=self.clock) as book:
            yield book

    def forget(self) -> None:
        """Remove what this account keeps of the ledger outside of it: a story that broke off leaves nothing."""
        key_store.key_path(self._key).unlink(missing_ok=True)
        pins.forget(self.origin)


def local(text: str) -> dt.datetime:
    """``2013-09-03 09:12`` at the story's place."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZONE)


def _recorder(person: Person) -> Recorder:
    # No commit of git: the story has no repository, and the one it is told in is none of its business.
    return msgspec.structs.replace(this_process(), actor=person.address, git=None, dirty=None)


def _shipped(name: str) -> resources.abc.Traversable:
    return resources.files("tallystick.pipeline.replay.demo") / name


Act = Callable[[Stage, ledger.Ledger], str]


class Step(NamedTuple):
    """Somebody does something at a time; the act gives what came of it, in a sentence."""

    at: str
    who: Person
    doing: str
    act: Act
    parts: int = 1
    """How long it takes, roughly, in parts of the whole."""
