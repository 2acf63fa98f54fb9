"""Recording from notebooks and training loops: it must never kill, nor hold up, what it records.

    with tallystick.run("churn-notebook", params={"depth": 4}) as run:
        for epoch in range(100):
            run.log(step=epoch, loss=train())
        run.store("confusion", figure)

Numbers are gathered and written every two seconds by a thread of ours, which waits half a second at most for other
writers. What cannot be written, because the disk is full, the lock is held, or the ledger is broken or missing, goes
to a spool on disk (:mod:`ledger.tracking.spool`); a warning says so once; and it is delivered, exactly once, as soon
as the ledger can be written again, or by ``tally doctor``.

A run may be handed to threads, tasks, forked children, and other processes. Each process has a sequence of its own, so
nothing clashes; only the process that began a run ends it.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import functools
import getpass
import os
import platform
import re
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, NamedTuple, ParamSpec, cast

from blake3 import blake3

from tallystick.ledger.errors import NotFound, Refused
from tallystick.ledger.events.types import (
    ArtifactStored,
    Body,
    Series,
    TrialBegun,
    TrialChanged,
    TrialModelled,
    TrialNoted,
    TrialSeries,
    TrialStatus,
    TrialStored,
)
from tallystick.ledger.opening import FOLDER, find
from tallystick.ledger.query.trials import CurvePoint
from tallystick.ledger.system.clock import utc_now
from tallystick.ledger.system.processes import mark_of
from tallystick.ledger.tracking import cleaning, ending
from tallystick.ledger.tracking.delivery import Delivery, OnceTold, levels_above
from tallystick.ledger.tracking.formats import files_of
from tallystick.ledger.tracking.series import series_of

FLUSH_EVERY_SECONDS = 2.0
FLUSH_EVERY_SECONDS_ELSEWHERE = 0.2
"""In a process that did not begin the run: it may be ended at any time by the one that did."""
MOST_NUMBERS_HELD = 5_000
MOST_NUMBERS_AN_EVENT = 20_000

P = ParamSpec("P")


class _Measured(NamedTuple):
    at_ms: int
    step: int | None
    values: dict[str, float]


def _guarded(
    method: Callable[Concatenate[Trial, P], None],
) -> Callable[Concatenate[Trial, P], None]:
    """Let nothing that goes wrong in recording reach the training; it is told once."""

    @functools.wraps(method)
    def guarded(self: Trial, /, *arguments: P.args, **options: P.kwargs) -> None:
        try:
            method(self, *arguments, **options)
        except Exception as error:  # noqa: BLE001 - recording must not kill a training
            self._told.warn(method.__name__, error, "It was left out.")

    return guarded


class StoredModel(NamedTuple):
    """A model as files, with what a loader must know."""

    estimator: str
    """Module and name of its class."""
    fitted: bytes
    unfitted: bytes
    media_type: str
    trusted_types: list[str]
    libraries: dict[str, str]
    params: Mapping[str, object]
    features: list[str]


class _Maker:
    """What makes files of models: a layer above knows how."""

    of_files: Callable[[object], StoredModel] | None = None


def make_models_with(of_files: Callable[[object], StoredModel]) -> None:
    """Say what makes files of the models of all trials of this process."""
    _Maker.of_files = staticmethod(of_files)


def _modelled(trial: str, name: str, model: StoredModel) -> tuple[list[Body], dict[str, bytes]]:
    """The events of a stored model and its two files by hash."""
    parts = {"fitted": model.fitted, "unfitted": model.unfitted}
    digests = {part: blake3(data).hexdigest() for part, data in parts.items()}
    bodies: list[Body] = []
    for part, data in parts.items():
        digest, size = digests[part], len(data)
        bodies += [
            ArtifactStored(artifact=digest, size_bytes=size, media_type=model.media_type, role="trial", run=None),
            TrialStored(trial=trial, artifact=digest, name=f"{name} ({part})", size_bytes=size),
        ]
    described = TrialModelled(
        trial=trial,
        name=name,
        estimator=model.estimator,
        artifact=digests["fitted"],
        unfitted=digests["unfitted"],
        media_type=model.media_type,
        trusted_types=model.trusted_types,
        libraries=model.libraries,
        params=cleaning.params(model.params).values,
        features=model.features,
    )
    return [*bodies, described], {digests[part]: data for part, data in parts.items()}


class Trial:
    """One trial on its way; made by :func:`run`.

    Attributes
    ----------
    name : str
        Its name in the ledger, ``churn-notebook/20261125-143005-k3f9a2``.
    """

    def __init__(self, name: str, ledger: Path, *, ours: bool) -> None:
        self.name = name
        self._ledger = ledger
        self._ours = ours
        """Whether this process began it, and so ends it."""
        self._ended = False
        self._told = OnceTold(name)
        self._begin_here()

    def _begin_here(self) -> None:
        """What belongs to one process: its sequence, its locks, and what it has not written yet."""
        self._delivery = Delivery(self.name, self._ledger, self._told)
        self._writing = threading.RLock()
        self._points: collections.deque[_Measured] = collections.deque()
        self._numbers = 0
        self._timer: threading.Thread | None = None
        self._wake = threading.Event()
        self._cared_for = False

    # Beginning and end -------------------------------------------------------------------------------------

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        status, words = _end_of(error)
        self.finish(status, words)

    @_guarded
    def finish(self, status: TrialStatus = "finished", error: str | None = None) -> None:
        """The end; called by leaving the ``with`` block. In another process than that which began it, a flush."""
        with self._writing:
            self._flush()
            if not self._ours:
                self._delivery.close()
                return
            if self._ended:
                return
            self._ended = True
            self._delivery.end(status, error)
        self._wake.set()
        ending.forget(self)

    def end_with_process(self, status: str, error: str | None) -> None:
        """See :class:`ledger.tracking.ending.Ending`; not for use by people."""
        if self._writing.acquire(timeout=ending.SECONDS_TO_END):
            try:
                self.finish(cast("TrialStatus", status), error)
            finally:
                self._writing.release()

    def begin_in_child(self) -> None:
        """See :class:`ledger.tracking.ending.Ending`; not for use by people."""
        self._ours = False
        self._begin_here()

    # What is recorded --------------------------------------------------------------------------------------

    @_guarded
    def log(self, numbers: Mapping[str, object] | None = None, /, *, step: object = None, **values: object) -> None:
        """Note numbers of this moment: ``run.log(step=3, loss=0.21)``, ``run.log({"val/loss": 0.3}, step=3)``.

        What is no number is left out, and named once in a warning; its neighbours are kept. Numbers are on disk two
        seconds later at most, and at the end.
        """
        if self._refused("log"):
            return
        cleaned = cleaning.numbers({**(numbers or {}), **values})
        for name, why in cleaned.odd.items():
            self._told.say(f"number {name}", f"{name} was left out of {self.name}: {why}.")
        at_step = None if step is None else cleaning.step(step)
        if step is not None and at_step is None:
            self._told.say(
                "step", f"A step of {self.name} is no whole number: {cleaning.text(step, 60)}. It was left out."
            )
        if cleaned.values:
            self._points.append(_Measured(int(time.time() * 1000), at_step, cleaned.values))
            self._numbers += len(cleaned.values)
            self._see_to_it()

    @_guarded
    def log_params(self, params: object = None, /, **more: object) -> None:
        """Add parameters: a mapping, a namespace, or by name."""
        if not self._refused("log_params"):
            self._note_params(params)
            self._note_params(more)

    @_guarded
    def tag(self, tags: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Add or replace tags, which are texts; one whose value is None is taken away."""
        if self._refused("tag"):
            return
        given = {**(tags or {}), **more}
        kept = cleaning.tags({name: value for name, value in given.items() if value is not None})
        gone = [cleaning.text(name, cleaning.MOST_NAME) for name, value in given.items() if value is None]
        self._add([TrialNoted(trial=self.name, tags=kept, removed_tags=gone)])

    @_guarded
    def note(self, text: object) -> None:
        """Add a remark in your own words."""
        if not self._refused("note"):
            self._add([TrialNoted(trial=self.name, note=cleaning.text(text) or "…")])

    @_guarded
    def store(self, name: object, content: object) -> None:
        """Keep a file: bytes, a path, a figure, an array, a table, or what JSON can hold, each in its usual format."""
        if self._refused("store"):
            return
        title = cleaning.text(name, cleaning.MOST_NAME)
        try:
            for made in files_of(title, content):
                digest = blake3(made.data).hexdigest()
                size = len(made.data)
                media = made.media_type
                stored = ArtifactStored(artifact=digest, size_bytes=size, media_type=media, role="trial", run=None)
                kept = TrialStored(
                    trial=self.name, artifact=digest, name=cleaning.text(made.name, 1_000), size_bytes=size
                )
                self._add([stored, kept], {digest: made.data})
        except Exception as error:  # noqa: BLE001 - a missing file, a figure that does not draw: the training goes on
            self._told.warn(f"file {title}", error, f"{title} was left out.")

    @_guarded
    def model(self, fitted: object, *, name: object = "model") -> None:
        """Keep a fitted scikit-learn estimator, and an unfitted copy that a pipeline can judge in time.

        A pipeline file names it: ``from = "trial:NAME"``. What cannot be kept as a model file is left out, with a
        warning that says why. Trials that ``tallystick.run`` began know how to make model files.
        """
        if self._refused("model"):
            return
        title = cleaning.text(name, cleaning.MOST_NAME) or "model"
        try:
            if _Maker.of_files is None:
                raise NotFound("This trial does not know how to make model files.", "Begin it with tallystick.run(…).")
            made = _Maker.of_files(fitted)
            bodies, files = _modelled(self.name, title, made)
            self._add(bodies, files)
        except Exception as error:  # noqa: BLE001 - a type that no file holds, a missing library: the training goes on
            self._told.warn(f"model {title}", error, f"{title} was left out.")

    def child(self, name: object, *, params: object = None, tags: Mapping[str, object] | None = None) -> Trial:
        """Begin a trial that is a part of this one: a fold, a point of a search. It has an end of its own."""
        return _begin(name, params, tags, self._ledger, parent=self.name)

    @_guarded
    def flush(self) -> None:
        """Write what is held; durable on return, in the ledger or in the spool."""
        with self._writing:
            self._flush()

    def series(self, metric: str) -> list[CurvePoint]:
        """Every number of a metric so far, read back from the ledger.

        Raises
        ------
        TallyError
            When the ledger cannot be read, or nothing of that name was measured.
        """
        self.flush()
        found: list[CurvePoint] = []
        self._delivery.book.do(lambda book: found.extend(book.now().curve(self.name, metric)))
        return found

    # Writing -----------------------------------------------------------------------------------------------

    def _note_params(self, given: object) -> None:
        cleaned = cleaning.params(given)
        for name, why in cleaned.odd.items():
            self._told.say(f"parameter {name}", f"Parameter {name} of {self.name} is not kept as it is: {why}.")
        for part in cleaning.chunks(cleaned.values):
            self._add([TrialNoted(trial=self.name, params=part)])

    def _add(self, bodies: list[Body], files: dict[str, bytes] | None = None) -> None:
        """Write something else than numbers, after those that came before it."""
        with self._writing:
            self._flush()
            self._delivery.write(bodies, utc_now(), files)

    def _see_to_it(self) -> None:
        """Have what is held written soon: by a thread that waits, or now where it is much."""
        if not self._cared_for:
            self._cared_for = True
            if self._ours:
                ending.watch(self)
            else:
                ending.finish_with_child(self)
        if self._numbers >= MOST_NUMBERS_HELD:
            with self._writing:
                self._flush()
        elif self._timer is None:
            timer = self._timer = threading.Thread(target=self._tick, name="tally numbers", daemon=True)
            try:
                timer.start()
            except RuntimeError:  # the interpreter is ending
                self._timer = None
                self.flush()

    def _tick(self) -> None:
        every = FLUSH_EVERY_SECONDS if self._ours else FLUSH_EVERY_SECONDS_ELSEWHERE
        while True:
            self._wake.wait(every)
            self.flush()
            self._timer = None
            # Whoever logs from now on begins a thread of its own.
            if not self._points or self._ended:
                return
            self._timer = threading.current_thread()

    def _flush(self) -> None:
        points: list[_Measured] = []
        with contextlib.suppress(IndexError):
            while True:
                points.append(self._points.popleft())
        self._numbers = 0
        for part in _parts(points):
            at = dt.datetime.fromtimestamp(part[-1].at_ms / 1000, dt.UTC)
            self._delivery.write([TrialSeries(trial=self.name, series=_series(part))], at)

    # Telling -----------------------------------------------------------------------------------------------

    def _refused(self, what: str) -> bool:
        if self._ended:
            self._told.say(
                "ended",
                f"{self.name} has ended; {what} after its end is not recorded. "
                f"To go on with it: tallystick.run(resume={self.name!r})",
            )
        return self._ended

    def __repr__(self) -> str:
        state = "ended" if self._ended else "recording"
        return f"<Trial {self.name} ({state}) in {self._ledger}>"

    # Copies ------------------------------------------------------------------------------------------------

    def __copy__(self) -> Trial:
        return self

    def __deepcopy__(self, _memo: object) -> Trial:
        return self

    def __reduce__(self) -> tuple[Callable[..., Trial], tuple[Any, ...]]:
        return _in_another_process, (self.name, str(self._ledger))


def run(
    name: object = None,
    *,
    params: object = None,
    tags: Mapping[str, object] | None = None,
    experiment: object = None,
    folder: Path | str | None = None,
    resume: str | None = None,
) -> Trial:
    """Begin to record a trial; never raises because of the ledger.

    Parameters
    ----------
    name : str
        What is tried, ``churn-notebook``; date and six letters are added.
    params : mapping, optional
        Settings of it: anything that JSON can hold; other values are written as their text.
    tags : mapping, optional
        Texts to find it by.
    experiment : str, optional
        The group of trials that it belongs to.
    folder : path, optional
        The ledger, or a folder in or below which it lies; else ``TALLY_LEDGER``, else found upwards from here. Where
        there is none yet, records wait until there is one in this folder.
    resume : str, optional
        The whole name of a trial to go on with, instead of a new one.

    Examples
    --------
    >>> import tallystick
    >>> with tallystick.run("churn-notebook", params={"depth": 4}) as run:  # doctest: +SKIP
    ...     run.log(step=1, loss=0.3)
    """
    ledger = _ledger_for(folder)
    if resume is not None:
        return _resumed(cleaning.text(resume, cleaning.MOST_NAME), ledger)
    return _begin(name, params, tags, ledger, experiment=experiment)


def _ledger_for(folder: Path | str | None) -> Path:
    start = Path(folder or os.environ.get("TALLY_LEDGER") or ".").absolute()
    try:
        found = start if start.name == FOLDER else find(start)
    except Refused as error:
        # A training is not ended by where it happens to run; what it records waits here until a ledger is named.
        with contextlib.suppress(Warning):
            warnings.warn(f"{error.message} {error.hint}", stacklevel=levels_above())
        found = None
    except (OSError, NotFound):
        found = None
    return found or start / FOLDER


def _begin(
    name: object,
    params: object,
    tags: Mapping[str, object] | None,
    ledger: Path,
    *,
    experiment: object = None,
    parent: str | None = None,
) -> Trial:
    at = utc_now()
    title = cleaning.text("trial" if name is None else name, cleaning.MOST_NAME) or "trial"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-")[:80] or "trial"
    trial = Trial(f"{readable}/{at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}", ledger, ours=True)
    try:
        cleaned = cleaning.params(params)
        for odd, why in cleaned.odd.items():
            trial._told.say(f"parameter {odd}", f"Parameter {odd} of {trial.name} is not kept as it is: {why}.")
        first, *rest = [*cleaning.chunks(cleaned.values)] or [{}]
        begun = TrialBegun(
            trial=trial.name,
            name=title,
            status="running",
            user=_user(),
            experiment=None if experiment is None else cleaning.text(experiment, cleaning.MOST_NAME) or None,
            parent=parent,
            params=first,
            tags=cleaning.tags(tags),
            host=cleaning.text(platform.node() or "unknown", cleaning.MOST_NAME),
            process=os.getpid(),
            process_began=mark_of(os.getpid()),
            program=_program(),
        )
        trial._delivery.write([begun, *(TrialNoted(trial=trial.name, params=part) for part in rest)], at)
        ending.watch(trial)
    except Exception as error:  # noqa: BLE001 - as everywhere here
        trial._told.warn("begin", error, "Its beginning was not recorded.")
    return trial


def _resumed(name: str, ledger: Path) -> Trial:
    trial = Trial(name, ledger, ours=True)
    known: list[bool] = []
    try:
        trial._delivery.book.do(lambda book: known.append(book.now().find(f"trial:{name}") is not None))
        if not known[0]:
            trial._told.say("resume", f"No trial {name} is in {ledger}; what is recorded now belongs to no beginning. "
                       "`tally trials` lists the names.")  # fmt: skip
        trial._delivery.write([TrialChanged(trial=name, status="running")], utc_now())
        ending.watch(trial)
    except Exception as error:  # noqa: BLE001 - as everywhere here
        trial._told.warn("resume", error, "That it goes on was not recorded.")
    return trial


def _in_another_process(name: str, ledger: str) -> Trial:
    """A run that was handed to another process: it records into the same trial, and does not end it."""
    return Trial(name, Path(ledger), ours=False)


def _end_of(error: BaseException | None) -> tuple[TrialStatus, str | None]:
    """How a ``with`` block ended."""
    if error is None:
        return "finished", None
    if isinstance(error, SystemExit):
        if error.code in (None, 0):
            return "finished", None
        return "failed", f"exit code {error.code}" if isinstance(error.code, int) else cleaning.text(error.code)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "CancelledError":
        return "interrupted", cleaning.error_words(error)
    if isinstance(error, GeneratorExit):
        return "interrupted", "the generator that recorded it was closed"
    return "failed", cleaning.error_words(error)


def _user() -> str:
    try:
        return cleaning.text(getpass.getuser(), cleaning.MOST_NAME)
    except Exception:  # noqa: BLE001 - an account without a name
        return str(os.getuid())


def _program() -> str:
    with contextlib.suppress(Exception):
        if sys.argv and sys.argv[0]:
            return cleaning.text(Path(sys.argv[0]).name, cleaning.MOST_NAME) or "interactive"
    return "interactive"


def _parts(points: list[_Measured]) -> list[list[_Measured]]:
    """Points in parts that an event can hold."""
    parts: list[list[_Measured]] = []
    size = MOST_NUMBERS_AN_EVENT
    for point in points:
        if size + len(point.values) > MOST_NUMBERS_AN_EVENT:
            parts.append([])
            size = 0
        parts[-1].append(point)
        size += len(point.values)
    return parts


def _series(points: list[_Measured]) -> list[Series]:
    by_name: dict[str, list[tuple[int | None, int, float]]] = {}
    for point in points:
        for name, value in point.values.items():
            by_name.setdefault(name, []).append((point.step, point.at_ms, value))
    return [series_of(name, *zip(*found, strict=True)) for name, found in by_name.items()]
