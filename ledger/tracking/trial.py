"""Recording from notebooks and training loops: it must never kill, nor hold up, what it records.

    with tallystick.run("churn-notebook", params={"depth": 4}) as run:
        for epoch in range(100):
            run.log(step=epoch, loss=train())
        run.store("model.skops", data)

Numbers are gathered and written every two seconds at most, in the caller's thread, waiting half a second at most for
other writers. What cannot be written, because the disk is full, the lock is held, or the ledger is broken or missing,
goes to a spool on disk (:mod:`ledger.tracking.spool`); a warning says so once; and it is delivered, exactly once, as
soon as the ledger can be written again, or by ``tally doctor``.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import platform
import re
import secrets
import sys
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, TypeVar

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import NotFound, Refused, TallyError
from tallystick.ledger.events.types import (
    ArtifactStored,
    Body,
    Point,
    TrialFinished,
    TrialMeasured,
    TrialModelled,
    TrialStarted,
    TrialStored,
)
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.opening import FOLDER, find
from tallystick.ledger.system.clock import utc_now
from tallystick.ledger.tracking.spool import Spool, SpooledCommit, deliver, empty, read, record
from tallystick.ledger.tracking.worker import KeptOpen

FLUSH_EVERY_SECONDS = 2.0
MOST_NUMBERS_HELD = 5_000
TRY_AGAIN_SECONDS = 30.0
WAIT_SECONDS = 0.5
WAIT_AT_END_SECONDS = 5.0
MOST_RECORDS_IN_MEMORY = 10_000
MOST_PARAMS_BYTES = 500_000
MOST_LEVELS = 20

T = TypeVar("T", bound="Trial")


class StoredModel(NamedTuple):
    """A model as files, with what a loader must know."""

    name: str
    estimator: str
    """Module and name of its class."""
    fitted: bytes
    unfitted: bytes
    media_type: str
    trusted_types: list[str]
    libraries: dict[str, str]
    params: Mapping[str, object]
    features: list[str]


class Trial:
    """One trial on its way; made by :func:`run`.

    Attributes
    ----------
    name : str
        Its name in the ledger, ``churn-notebook/20261125-143005-k3f9a2``.
    """

    def __init__(self, name: str, params: Mapping[str, object], ledger: Path) -> None:
        begun = utc_now()
        readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-")[:80] or "trial"
        self.name = f"{readable}/{begun:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
        self._book = KeptOpen(ledger)
        self._spool = Spool(self.name, ledger)
        self._lock = threading.RLock()
        self._points: list[Point] = []
        self._numbers = 0
        self._held: list[tuple[SpooledCommit, dict[str, bytes]]] = []
        """Records that not even the spool could take; tried again until the end."""
        self._lost = 0
        self._late = 0
        self._position = 0
        self._warned = False
        self._flushed_at = self._began_at = time.monotonic()
        self._try_after = 0.0
        started = TrialStarted(
            trial=self.name,
            name=name[:10_000] or "trial",
            params=_plain(params),
            host=platform.node() or "unknown",
            process=os.getpid(),
            program=Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "interactive",
        )
        self._write([started], begun)

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failure = None if error is None else f"{type(error).__name__}: {error}".strip(": ")[:2_000]
        self.finish("finished" if error is None else "failed", failure)

    def log(self, *, step: int | None = None, **values: float) -> None:
        """Note numbers of this moment, ``run.log(step=3, loss=0.21)``; what is no number is left out with a warning."""
        try:
            with self._lock:
                self._points.append(_point(step, values))
                self._numbers += len(values)
                late = time.monotonic() - self._flushed_at >= FLUSH_EVERY_SECONDS
                if late or self._numbers >= MOST_NUMBERS_HELD:
                    self._flush()
        except Exception as error:  # noqa: BLE001 - recording must not kill a training; the failure is told once
            self._warn(error, "It was left out.")

    def store(self, name: str, content: bytes | Path) -> None:
        """Keep a file: its bytes, or the path of a file to read."""
        try:
            with self._lock:
                data = content.read_bytes() if isinstance(content, Path) else bytes(content)
                digest = blake3(data).hexdigest()
                stored = ArtifactStored(
                    artifact=digest, size_bytes=len(data), media_type="application/octet-stream", role="trial", run=None
                )
                kept = TrialStored(trial=self.name, artifact=digest, name=name, size_bytes=len(data))
                self._flush()
                self._write([stored, kept], utc_now(), {digest: data})
        except Exception as error:  # noqa: BLE001 - as above
            self._warn(error, f"{name} was left out.")

    def store_model(self, model: StoredModel) -> None:
        """Keep a model that was made into files: the fitted one, and an unfitted copy."""
        try:
            with self._lock:
                files = {blake3(data).hexdigest(): data for data in (model.fitted, model.unfitted)}
                self._flush()
                self._write(_modelled(self.name, model), utc_now(), files)
        except Exception as error:  # noqa: BLE001 - as above
            self.left_out(error, model.name)

    def left_out(self, error: Exception, name: str) -> None:
        """Warn that something was not kept, and why; once for a trial."""
        self._warn(error, f"{name} was left out.")

    def finish(self, status: Literal["finished", "failed"] = "finished", error: str | None = None) -> None:
        """The end; called by leaving the ``with`` block."""
        try:
            with self._lock:
                self._flush()
                seconds = round(time.monotonic() - self._began_at, 3)
                self._try_after = 0.0
                late = self._late + len(self._held)
                ended = TrialFinished(trial=self.name, status=status, error=error, seconds=seconds, late_records=late)
                self._write([ended], utc_now(), wait_seconds=WAIT_AT_END_SECONDS)
                self._book.close()
                self._keep_held()
                self._lost += len(self._held)
                if self._lost:
                    warnings.warn(
                        f"{self._lost} records of {self.name} could not be kept anywhere and are lost.",
                        RuntimeWarning,
                        stacklevel=3,
                    )
        except Exception as failure:  # noqa: BLE001 - as above
            self._warn(failure, "The end of the trial was not recorded.")

    # Writing -----------------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._flushed_at = time.monotonic()
        if self._points:
            points, self._points, self._numbers = self._points, [], 0
            self._write([TrialMeasured(trial=self.name, points=points)], points[-1].at)

    def _write(
        self,
        bodies: list[Body],
        at: dt.datetime,
        files: dict[str, bytes] | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """Into the ledger, else into the spool, else into memory; in order, whatever happens."""
        item = record(f"{self.name}/{self._position}", at, bodies, list(files or ()))
        self._position += 1
        if time.monotonic() >= self._try_after:
            try:
                self._book.do(lambda book: self._deliver(book, item, files or {}, wait_seconds))
                return
            except Exception as error:  # noqa: BLE001 - whatever breaks there, the training goes on
                self._try_after = time.monotonic() + TRY_AGAIN_SECONDS
                self._warn(error, "It is kept on disk and delivered later; `tally doctor` does it, too.")
        self._late += 1
        self._held.append((item, files or {}))
        self._keep_held()

    def _deliver(self, book: Ledger, item: SpooledCommit, files: dict[str, bytes], wait_seconds: float) -> None:
        self._keep_held()
        if self._held:
            raise OSError("earlier records wait in memory")
        if self._spool.folder is not None:
            waits = read(self._spool.folder)
            if waits is not None:
                empty(book, waits, wait_seconds)
            self._spool.folder = None
        for data in files.values():
            book.store(data)
        deliver(book, item, wait_seconds)

    def _keep_held(self) -> None:
        try:
            while self._held:
                self._spool.keep(*self._held[0])
                self._held.pop(0)
        except OSError as error:
            self._warn(error, "It waits in memory.")
            if len(self._held) > MOST_RECORDS_IN_MEMORY:
                self._held.pop(0)
                self._lost += 1

    def _warn(self, error: Exception, then: str) -> None:
        if self._warned:
            return
        self._warned = True
        what = error.message if isinstance(error, TallyError) else f"{type(error).__name__}: {error}"
        try:
            warnings.warn(
                f"Tallystick could not record for {self.name}: {what} {then} The training goes on.",
                RuntimeWarning,
                stacklevel=4,
            )
        except RuntimeWarning:
            # Warnings were made errors; even so, a training is not ended by its record.
            sys.stderr.write(f"Tallystick could not record for {self.name}: {what} {then}\n")


def _modelled(trial: str, model: StoredModel) -> list[Body]:
    """The events of a stored model: its two files, and what they are."""
    digests = {part: blake3(getattr(model, part)).hexdigest() for part in ("fitted", "unfitted")}
    bodies: list[Body] = []
    for part, digest in digests.items():
        size = len(getattr(model, part))
        bodies += [
            ArtifactStored(artifact=digest, size_bytes=size, media_type=model.media_type, role="trial", run=None),
            TrialStored(trial=trial, artifact=digest, name=f"{model.name} ({part})", size_bytes=size),
        ]
    return [
        *bodies,
        TrialModelled(
            trial=trial,
            name=model.name,
            estimator=model.estimator,
            artifact=digests["fitted"],
            unfitted=digests["unfitted"],
            media_type=model.media_type,
            trusted_types=model.trusted_types,
            libraries=model.libraries,
            params=_plain(model.params),
            features=model.features,
        ),
    ]


def run(name: str, *, params: Mapping[str, object] | None = None, folder: Path | str | None = None) -> Trial:
    """Begin to record a trial; never raises because of the ledger.

    Parameters
    ----------
    name : str
        What is tried, ``churn-notebook``; date and six letters are added.
    params : mapping, optional
        Settings of it: anything that JSON can hold; other values are written as their text.
    folder : path, optional
        The ledger, or a folder in or below which it lies; else ``TALLY_LEDGER``, else found upwards from here. Where
        there is none yet, records wait until there is one in this folder.

    Examples
    --------
    >>> import tallystick
    >>> with tallystick.run("churn-notebook", params={"depth": 4}) as run:  # doctest: +SKIP
    ...     run.log(step=1, loss=0.3)
    """
    return begin(Trial, name, params, folder)


def begin(kind: type[T], name: str, params: Mapping[str, object] | None = None, folder: Path | str | None = None) -> T:
    """Begin a trial of some class; as :func:`run`."""
    start = Path(folder or os.environ.get("TALLY_LEDGER") or ".").absolute()
    try:
        found = start if start.name == FOLDER else find(start)
    except Refused as error:
        # A training is not ended by where it happens to run; what it records waits here until a ledger is named.
        warnings.warn(f"{error.message} {error.hint}", stacklevel=2)
        found = None
    except (OSError, NotFound):
        found = None
    return kind(name, params or {}, found or start / FOLDER)


def _point(step: int | None, values: Mapping[str, float]) -> Point:
    finite: dict[str, float] = {}
    others: dict[str, Literal["nan", "inf", "-inf"]] = {}
    for name, value in values.items():
        number = float(value)
        if math.isfinite(number):
            finite[name] = number
        else:
            others[name] = "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    return Point(at=utc_now(), step=None if step is None else int(step), values=finite, not_finite=others)


def _plain(params: Mapping[str, object]) -> dict[str, object]:
    """Parameters as an event can hold them; what it cannot is written as its text, cut to a readable length."""
    plain = {str(key): _plain_value(value, MOST_LEVELS) for key, value in params.items()}
    size = len(msgspec.json.encode(plain))
    if size <= MOST_PARAMS_BYTES:
        return plain
    return {key: _text(value) for key, value in list(plain.items())[:1_000]}


def _plain_value(value: object, levels: int) -> object:
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "size", 1) == 1:
        value = item()  # a number of numpy, or of any library that follows it
    whole = isinstance(value, int) and abs(value) <= 2**53
    if value is None or isinstance(value, bool | str) or whole or (isinstance(value, float) and math.isfinite(value)):
        return value
    if levels and isinstance(value, Mapping):
        return {str(key): _plain_value(item, levels - 1) for key, item in value.items()}
    if levels and isinstance(value, list | tuple):
        return [_plain_value(item, levels - 1) for item in value]
    return _text(value)


def _text(value: object) -> str:
    return str(value)[:200].encode(errors="replace").decode()
