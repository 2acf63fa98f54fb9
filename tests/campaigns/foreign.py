"""Every parser of foreign text, with valid texts to begin from: what the fuzzing campaigns aim at."""

from __future__ import annotations

import atexit
import datetime as dt
import os
import random
import re
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / ".src"), str(ROOT / "tests" / "support")]

from histories import RUNS, decided, finished, promoted, refitted, registered, started  # noqa: E402

from tallystick import ledger as face  # noqa: E402
from tallystick.ledger.errors import InvalidInput  # noqa: E402
from tallystick.ledger.events import types  # noqa: E402
from tallystick.ledger.events.commit import decode_head  # noqa: E402
from tallystick.ledger.publish.anchors import receipts_in  # noqa: E402
from tallystick.ledger.publish.bundle import _claim  # noqa: E402
from tallystick.ledger.publish.witness import _signature, _size  # noqa: E402
from tallystick.ledger.query.as_of import parse_moment, parse_period, resolve  # noqa: E402
from tallystick.ledger.query.event_search import find_events, stretches  # noqa: E402
from tallystick.ledger.tlog import ssh_agent  # noqa: E402
from tallystick.ledger.tlog.cosignature import COSIGNATURE, WitnessKey, cosignatures  # noqa: E402
from tallystick.ledger.tlog.note import (  # noqa: E402
    Checkpoint,
    Note,
    SignerKey,
    VerifierKey,
    key_id,
    open_checkpoint,
    parse_checkpoint,
    parse_receipt,
    receipt_line,
    sign_checkpoint,
)
from tallystick.ledger.tlog.policy import parse_policy  # noqa: E402
from tallystick.ledger.tlog.proof import Proof, parse_proof  # noqa: E402
from tallystick.ledger.tracking import spool  # noqa: E402
from tallystick.pipeline.config import alert_rules, load  # noqa: E402
from tallystick.pipeline.config.conditions import parse_condition, parse_rule  # noqa: E402
from tallystick.pipeline.config.durations import parse_span, parse_time_expression  # noqa: E402
from tallystick.pipeline.config.settings import Monitoring  # noqa: E402

SIGNER = SignerKey("example.org/log", bytes(range(32)))
OTHER = SignerKey("другой/журнал", bytes(range(1, 33)))
KEY = SIGNER.verifier
WITNESS = WitnessKey("w1", key_id("w1", COSIGNATURE, OTHER.verifier.public), OTHER.verifier.public)
ZONE = ZoneInfo("America/New_York")
NOW = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)


class Target(NamedTuple):
    """A parser, valid texts to begin from, and how to write what it returned (None where there is no one form)."""

    parse: Callable[[str], object]
    corpus: list[str]
    write: Callable[[object], str] | None = None
    sample: int = 2000
    """How many inputs the suite puts to it: as many as take less than half a second."""
    counted: bool = True
    """Whether Python counts the bytes. Not where Arrow's threads run: Python 3.11 may crash beside them."""
    change: Callable[[random.Random, str, list[str]], str] | None = None
    """One change to an input, where it is no text of lines."""


def as_bytes(text: str) -> bytes:
    """What was drawn as text, for parsers of bytes; halves of surrogates become bytes that are no UTF-8."""
    try:
        return text.encode(errors="surrogateescape")  # bytes that were none from the beginning stay what they were
    except UnicodeEncodeError:
        return text.encode(errors="surrogatepass")


@cache
def texts() -> dict[str, Target]:
    """Every parser of texts by name."""
    return {**_signed(), **_recorded(), **_said(), **_asked()}


def target(name: str) -> Target:
    """A parser, or a reader of files, by name."""
    return texts()[name] if name in texts() else _made(name)


@cache
def _made(name: str) -> Target:
    return files()[name]()


def files() -> dict[str, Callable[[], Target]]:
    """How the readers of files and folders are made, by name; what they need is imported and made only then."""
    from foreign_data import DATA
    from foreign_folders import FOLDERS
    from foreign_imports import IMPORTS
    from foreign_ledgers import LEDGERS
    from foreign_mlflow import MLFLOW

    return {**FOLDERS, **LEDGERS, **IMPORTS, **MLFLOW, **DATA}


def names() -> list[str]:
    """The names of all, those of files last; none of them is made for that."""
    return [*texts(), *files()]


def _notes() -> list[str]:
    notes = []
    for size in (1, 7, 2**40):
        checkpoint = Checkpoint(SIGNER.name, size, bytes([size % 256]) * 32)
        notes.append(sign_checkpoint(checkpoint, SIGNER))
        notes.append(sign_checkpoint(checkpoint, SIGNER, OTHER))
    return notes


def _pasted() -> list[str]:
    lines = [receipt_line(Checkpoint(name, 12, bytes(32))) for name in (SIGNER.name, OTHER.name)]
    quoted = [f"Dear all,\r\n> {line}\r\n-- \r\nAnn" for line in lines]
    return [*lines, *quoted, *(note.replace("—", "--").replace("\n\n", "\n") for note in _notes())]


def _signed() -> dict[str, Target]:
    """Notes, keys, proofs, policies: what signatures stand on."""
    notes = _notes()
    proofs = [Proof(5, (bytes(32), b"\x01" * 32), notes[0]).format(), Proof(0, (), notes[1]).format()]
    policy = (
        f"# us\nlog {KEY.format()} https://log\nwitness w1 {WITNESS.format()} http://w\n"
        f"witness w2 {WITNESS.format()}\ngroup g 2 w1 w2\ngroup h any g\nquorum h\n"
    )
    listed = "".join(
        f"commit {'ab' * 20} 2013-0{n}-01T12:00:00+0{n}:00\n\n+{receipt_line(Checkpoint(SIGNER.name, n, bytes(32)))}\n"
        for n in (1, 2)
    )
    identities = b"\x0c" + bytes([0, 0, 0, 1]) + ssh_agent._string(
        ssh_agent._string(ssh_agent.ALGORITHM) + ssh_agent._string(KEY.public)
    ) + ssh_agent._string(b"ann@example.org")  # fmt: skip
    return {
        "note": Target(Note.parse, notes, lambda note: note.format()),  # type: ignore[attr-defined]
        "verifier key": Target(
            VerifierKey.parse,
            [KEY.format(), OTHER.verifier.format()],
            lambda key: key.format(),  # type: ignore[attr-defined]
        ),
        "signer key": Target(SignerKey.parse, [SIGNER.format(), OTHER.format()], lambda key: key.format()),  # type: ignore[attr-defined]
        "witness key": Target(WitnessKey.parse, [WITNESS.format()], lambda key: key.format()),  # type: ignore[attr-defined]
        "checkpoint": Target(parse_checkpoint, [note.split("\n\n")[0] + "\n" for note in notes]),
        "signed checkpoint": Target(lambda text: open_checkpoint(text, KEY), notes),
        "cosignatures": Target(lambda text: cosignatures(Note.parse(text), (WITNESS,)), notes),
        "receipt": Target(lambda text: parse_receipt(text).checkpoint, _pasted(), receipt_line),  # type: ignore[arg-type]
        "receipts in git": Target(
            lambda text: list(receipts_in(text, ["ab" * 20], [SIGNER.name])) or nothing(), [listed]
        ),
        "proof": Target(parse_proof, proofs),
        "policy": Target(
            lambda text: parse_policy(text).is_met(["w1"]), [policy, f"log {KEY.format()}\nquorum none\n"]
        ),
        "witness answer": Target(_witness_answer, ["17\n", *(note.split("\n\n")[1] for note in notes)]),
        "agent answer": Target(
            lambda text: ssh_agent.held_keys(text.encode("latin-1", errors="replace"), "ann") or nothing(),
            [identities.decode("latin-1")],
        ),
    }


def nothing() -> None:
    """A parser that passes over what it does not understand has found nothing; counted as refused."""
    raise InvalidInput("nothing in it")


def _witness_answer(text: str) -> object:
    with suppress(InvalidInput):
        return _size(as_bytes(text))
    return _signature(text) or nothing()


def _recorded() -> dict[str, Target]:
    """What lies in the ledger's own files."""
    event = (
        '{"body":{"artifact":"' + "ab" * 32 + '","media_type":"x","role":"model","run":null,"size_bytes":5},'
        '"occurred_at":"2013-01-01T00:00:00Z","salt":"AAAAAAAAAAAAAAAAAAAAAA==","t":"artifact.stored","v":1}'
    )
    started_ = (
        '{"about":{"observed_in":["2013-01-01T00:00:00Z","2013-02-01T00:00:00-05:00"]},"body":{"params":{"a":[1,0.5,'
        'null,{"b":"c"}]}},"cause":["' + "cd" * 32 + '"],"occurred_at":"2013-01-01T00:00:00Z",'
        '"salt":"AAAAAAAAAAAAAAAAAAAAAA==","t":"a.stranger","v":7}'
    )
    head = '{"actor":"a","host":"h","recorded_at":"2013-01-01T12:00:00Z","tool":"t","user":"u"}'
    claim = (
        '{"artifacts":["' + "ab" * 32 + '"],"commits":[{"events":[0,3],"n":2}],"format":"tally.proof/1",'
        '"origin":"o","subject":"model:m"}\n'
    )
    kept = [
        spool.record("k", NOW, [_finished()]),
        spool.record("l", NOW, [], ["ab" * 32]),
    ]
    lines = [spool.Header(trial="t", ledger="/tmp/x"), *kept]
    return {
        "event": Target(lambda text: types.decode(as_bytes(text)), [event, started_]),
        "commit head": Target(decode_head, [head]),
        "bundle claim": Target(lambda text: _claim(as_bytes(text)), [claim]),
        "spool": Target(
            lambda text: spool.parse(as_bytes(text)),
            ["".join(f"{spool.msgspec.json.encode(line).decode()}\n" for line in lines)],
        ),
    }


def _finished() -> types.TrialFinished:
    return types.TrialFinished(trial="t", status="finished", error=None, seconds=1.0, late_records=0)


def _said() -> dict[str, Target]:
    """What people write: dates, lengths of time, rules, pipeline files."""
    moments = ["2013-06-30", "2013-06", "2013", "2013-06-30 17:00", "now", "yesterday", "2 weeks ago", "an hour ago",
               "2013-06-30T17:00:00.5+05:30"]  # fmt: skip
    file = (ROOT / "fixtures" / "late-arrivals.toml").read_text()
    # Without its prose: every setting is still there, and it is read in a third of the time.
    file = re.sub(r'((?:why|decision|cost_of_wrong) *= )"[^"\n]*"', r'\1"w"', re.sub(r" +#.*", "", file))
    small = 'name = "x"\n["a.b".c]\nd = { e = 1, f = [2, { g = """h""" }] }\n[[drop]]\nwhere = \'i\' # j\n'
    return {
        "moment": Target(lambda text: parse_moment(text, ZONE, NOW), moments),
        "period": Target(lambda text: parse_period(text, ZONE), ["2013-06-30", "2013-06", "2013", "2013-04..2013-06"]),
        "span": Target(parse_span, ["3h", "62 days", "2 weeks", "1 month", "7 steps"]),
        "time expression": Target(parse_time_expression, ["time_hour", "time_hour - 3h", "ordered_at + 2 days"]),
        "rule": Target(parse_rule, ["> 15", ">= -0.5e3", "== 'yes'", '!= "no"']),
        "condition": Target(parse_condition, ["arr_delay is missing", "year < 1990", "state == 'void'"]),
        "monitoring rules": Target(
            _monitoring,
            ["outside 8 of 10 own windows\noutside every own window by half its range, or worse than the reference"],
        ),
        "pipeline file": Target(lambda text: load.parse(as_bytes(text), Path("x.toml")), [file, small], sample=200),
    }


def _monitoring(text: str) -> object:
    notice, _, alarm = text.partition("\n")
    settings = Monitoring(
        every="1 month", compare_to="own windows", segments=[], min_rows=1, notice=notice, alarm=alarm,
        estimate_before_labels=False, why="because",
    )  # fmt: skip
    return alert_rules.thresholds(settings)


def _asked() -> dict[str, Target]:
    """What is asked of a ledger: handles, dates, names, filters; on a real one that stays open."""

    def filtered(text: str) -> object:
        if not text.split():
            return nothing()
        try:
            return [list(find_events(_snapshot(), text, where)) for where in stretches(_snapshot(), text)]
        except (sqlite3.Error, UnicodeError) as error:
            raise InvalidInput(str(error)) from error  # as the app's desk does

    names = [
        "model:p-v1",
        "p-v1",
        "run:2013-01-01.1",
        "pipeline:p",
        "2013-01-01.1",
        "decision:2013-01-01.1",
        "slice:ab",
    ]
    return {
        "as of": Target(
            lambda text: resolve(text, _book().log, ZONE, NOW), ["#2", "c1", "before:c1", "#3-abcd", "2013"], sample=200
        ),
        "name": Target(lambda text: _snapshot().entity(text), names, sample=200),
        "filter": Target(
            filtered, ["promoted", "p-v1 ann", "type:run.started", "entity:p-v1", "%_\\", '"x'], sample=200
        ),
    }


@cache
def _book() -> face.Ledger:
    """A small ledger that stays open until the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="tally-foreign-"))
    kept = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    os.environ.update(dict.fromkeys(kept, str(folder / "home")))
    try:
        book = face.create(folder / "team", name="p", timezone="America/New_York", key_home="file")
        book.append(registered("p"), started(RUNS[0], "p"))
        book.append(refitted("p-v1", RUNS[0], "p"), decided(RUNS[0], "p", "p-v1"), finished(RUNS[0], "p"))
        book.append(promoted("p-v1", "p", None))
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    @atexit.register
    def gone() -> None:
        book.close()
        shutil.rmtree(folder)

    return book


@cache
def _snapshot() -> face.Snapshot:
    return _book().now().without()  # of nothing: the same questions, asked of states in memory
