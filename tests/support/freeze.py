"""Make a ledger to be kept for ever: `python tests/support/freeze.py NAME` writes `fixtures/frozen/NAME/`.

It goes through the real commands, and holds at least one event of every type and version that this program writes;
see `fixtures/README.md`. Once committed such a folder is never written again: what it holds must verify with every
later version of the program, so a new format or a new type gets a new folder.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from given import FIXTURES
from histories import failed, started
from shell import Answer, tally
from witness import Witness

from tallystick import ledger
from tallystick.ledger.events import types
from tallystick.pipeline.governance.gates import standing

ANN = {"TALLY_ACTOR": "ann@example.org"}
BEN = {"TALLY_ACTOR": "ben@example.org"}
CARLA = {"TALLY_ACTOR": "carla@example.org"}


def done(answer: Answer) -> Answer:
    if answer.code != 0:
        raise SystemExit(f"{answer.out}\n{answer.err}")
    return answer


def prepare(folder: Path) -> None:
    """A repository with a small real experiment: a tenth of the sample's flights."""
    folder.mkdir(parents=True)
    for arguments in (["init", "-q"], ["config", "user.email", "ann@example.org"], ["config", "user.name", "Ann"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True)
    flights = pd.read_parquet(FIXTURES / "late-arrivals.parquet")
    flights[flights["flight"] % 10 == 1].to_parquet(folder / "late-arrivals.parquet", index=False)
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.big_trees\].*?(?=\[selection\])", "", text, flags=re.DOTALL)
    (folder / "late-arrivals.toml").write_text(re.sub(r"rows_expected *= *[\d_]+", "rows_expected = 1_911", text))


def tell(folder: Path, elsewhere: Path) -> None:
    """Everything that can be recorded, and everything that vouches for it from outside."""

    def say(*arguments: str, given: str | None = None, **who: str) -> Answer:
        return done(tally(folder, *arguments, given=given, **{**ANN, **who}))

    say("init", "--timezone", "America/New_York")
    say("run", "late-arrivals.toml")
    with ledger.open(folder) as book:
        run = book.now().runs()[0].run
    answer(folder, say)
    say("approve", run, **BEN)
    decide(folder, run, say)
    live(folder, say)
    try_something(folder)
    record_elsewhere(folder)
    take_others_models(folder)
    with ledger.open(folder) as book:
        book.append(started("2013-01-05.1", "late-arrivals"))
        personal = book.append(failed("2013-01-05.1", "late-arrivals")).last_seq
        mistaken = book.append(failed("2013-01-05.1", "late-arrivals")).last_seq
    say("correct", f"#{mistaken}", "--reason", "it had not failed")
    bring(elsewhere / "laptop", say)
    say("receipt", "--git")
    say("anchor", say("receipt").out.strip(), "--where", "ticket RISK-88")
    with ledger.open(folder) as book, Witness("w.example.org", book.identity.key.format()) as witness:
        say("anchor", "--witness", witness.url, "--witness-key", witness.vkey)
        (folder / "policy.txt").write_text(
            f"log {book.identity.key.format()}\nwitness w {witness.vkey} https://w.example.org/\nquorum w\n"
        )
    say("redact", f"#{personal}", "--reason", "a test of erasure", "--authority", "nobody in particular", "--yes")
    say("seal")
    say("key", "rotate", "--reason", "yearly")
    backup = elsewhere / "backup"
    shutil.copytree(folder / ".tally", backup)
    say("anchor", say("receipt").out.strip(), "--where", "a mail that outlived the disk")
    shutil.rmtree(folder / ".tally")
    shutil.copytree(backup, folder / ".tally")
    say("adopt", "--reason", "the disk burnt; this is the backup")
    say("key", "rotate", "--lost", "--reason", "the laptop was stolen")
    say("prove", "late-arrivals-v1", "-o", "bundle")
    say("export", "tiles", "tiles")
    (folder / "receipt.txt").write_text(say("receipt").out)
    (folder / "log.vkey").write_text(say("key", "show", "--vkey").out)


def answer(folder: Path, say: Callable[..., Answer]) -> None:
    """A run that asks about a feature, and the answer."""
    text = (folder / "late-arrivals.toml").read_text()
    for old, new in (
        ('name   = "late-arrivals"', 'name   = "with-departures"'),
        ('"dep_delay", ', ""),
        ('"plane_year, seats" ', '"plane_year, seats, dep_delay" '),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "with-departures.toml").write_text(text)
    say("run", "with-departures.toml")
    with ledger.open(folder) as book:
        run = book.now().runs()[-1].run
    say("answer", run, "dep_delay", "--why", "A forecast of the delay, made three hours before departure.")


def bring(laptop: Path, say: Callable[..., Answer]) -> None:
    """What somebody kept in a ledger of her own, imported in two goes, with a correction between them."""
    prepare(laptop)
    file = laptop / "late-arrivals.toml"
    file.rename(laptop / "laptop.toml")
    (laptop / "laptop.toml").write_text(
        re.sub(r"^name *=.*", 'name = "laptop"', (laptop / "laptop.toml").read_text(), flags=re.MULTILINE)
    )
    done(tally(laptop, "init", "--timezone", "Europe/Berlin", **CARLA))
    done(tally(laptop, "run", "laptop.toml", **CARLA))
    say("import", str(laptop), "--as", "carla")
    with ledger.open(laptop) as book:
        finished = next(entry.seq for entry in book.events() if entry.event.t == "run.finished")
    done(tally(laptop, "correct", f"#{finished}", "--reason", "it was a rehearsal", **CARLA))
    done(tally(laptop, "key", "rotate", "--reason", "a new year", **CARLA))
    say("import", str(laptop), "--against", done(tally(laptop, "receipt", **CARLA)).out.strip())


def decide(folder: Path, run: str, say: Callable[..., Answer]) -> None:
    """The way to a champion, and beside it."""
    say("reproduce", run)
    looked = tally(folder, "final-test", "late-arrivals-v1", **ANN)
    if looked.code not in (0, 1):
        raise SystemExit(looked.err)
    with ledger.open(folder) as book:
        now = book.now()
        _, outcomes, _ = standing(now, now.model("late-arrivals-v1"))
        closed = [outcome.name for outcome in outcomes if outcome.verdict != "passed"]
    until = (dt.date.today() + dt.timedelta(days=60)).isoformat()

    def waive(gate: str, model: str) -> None:
        say(
            "waive", gate, "--model", model, "--reason", "a tenth of the sample is too noisy for this gate",
            "--owner", "ann@example.org", "--approver", "ben@example.org", "--until", until,
        )  # fmt: skip

    for gate in closed:
        waive(gate, "late-arrivals-v1")
    say("promote", "late-arrivals-v1", "--reason", "steady from May on")
    say("refit", run, "logistic", "--reason", "the team can read its coefficients")
    waive("validity", "late-arrivals-v2")
    say("waive", "late-arrivals-v2/validity", "--end", "--reason", "it was a test of the waiver itself")
    say("retire", "late-arrivals-v2", "--reason", "nobody wanted it")
    say("run", "late-arrivals.toml", "--experiment", "--reason", "to try what nobody will promote")
    with ledger.open(folder) as book:
        experiment = book.now().runs()[-1].run
    say("run", "late-arrivals.toml", "--crosses", experiment, "--reason", "what was tried holds")
    waive("validity", "late-arrivals-v1")


def live(folder: Path, say: Callable[..., Answer]) -> None:
    """Predictions made and refused, a watched month, automation given back."""
    rows = pd.read_parquet(folder / "late-arrivals.parquet").tail(50)
    rows.to_parquet(folder / "old.parquet", index=False)
    later = rows.assign(time_hour=rows["time_hour"] + pd.Timedelta(days=40))
    later.to_parquet(folder / "later.parquet", index=False)
    refused = tally(folder, "predict", "late-arrivals-v1", "old.parquet", "-o", "answers.csv", **ANN)
    if refused.code != 1:
        raise SystemExit(f"Rows of the training time were not refused: {refused.out}{refused.err}")
    say("predict", "late-arrivals-v1", "later.parquet", "-o", "answers.csv")
    say("run", "late-arrivals.toml", "--labels-as-of", "2013-09-30")
    with ledger.open(folder) as book:
        early = book.now().runs()[-1]
    model = early.model
    if model is None:
        say("refit", early.run, "small_trees", "--reason", "to have one that can be watched")
        with ledger.open(folder) as book:
            model = book.now().models()[-1].model
    say("monitor", "late-arrivals.toml", "--period", "2013-10", "--model", model)
    with ledger.open(folder) as book:
        book.append(
            types.AutomationChanged(
                automation="late-arrivals", pipeline="late-arrivals", level="manual", before="manual",
                quiet_periods=0, needed=6, approvers=[], reason="nothing was unlocked; it stays so",
            )
        )  # fmt: skip


def try_something(folder: Path) -> None:
    """A notebook's trial."""
    with ledger.run("notebook", params={"depth": 4}, folder=folder) as trial:
        trial.log(step=1, loss=0.25)
        trial.store("weights", b"0123456789")


def record_elsewhere(folder: Path) -> None:
    """What other recorders tell: an experiment, a run with its files, a kept and a registered model, an alias."""
    say = types
    with ledger.open(folder) as book:
        weights = book.store(b"0123456789").hash
        loss = say.Series(
            key="loss", steps=[1, None], at_ms=[1, 2], values=[0.5, None], not_finite={"1": "nan"}, model="m-1"
        )
        # As earlier versions recorded a trial.
        moment = dt.datetime(2013, 6, 1, tzinfo=dt.UTC)
        point = say.Point(at=moment, step=1, values={"loss": 0.5}, not_finite={})
        book.append(
            say.TrialStarted(trial="t/1", name="t", params={"depth": 4}, host="h", process=1, program="p"),
            say.TrialMeasured(trial="t/1", points=[point]),
            say.TrialFinished(trial="t/1", status="finished", error=None, seconds=1.5, late_records=0),
        )
        book.append(
            say.ExperimentCreated(experiment="7", name="churn", tags={"team": "blue"}),
            say.ExperimentChanged(experiment="7", name="churn-2013", removed_tags=["team"]),
            say.TrialBegun(trial="c0ffee", name="first", status="running", user="ann", experiment="7", tags={"a": "b"}),
            say.TrialNoted(trial="c0ffee", params={"depth": 4}, note="the rate was lowered by hand"),
            say.TrialLinked(
                trial="c0ffee",
                inputs=[say.Dataset(name="flights", digest="12ab", source_type="local", source="flights.parquet")],
                outputs=[say.Output(model="m-1", step=3)],
            ),
            say.TrialSeries(trial="c0ffee", series=[loss]),
            say.LoggedCreated(logged="m-1", name="model", experiment="7", trial="c0ffee", status="PENDING"),
            say.LoggedChanged(logged="m-1", status="READY", tags={"a": "b"}),
            say.FileFiled(path="model/weights", artifact=weights, size_bytes=10, logged="m-1"),
            say.TrialChanged(trial="c0ffee", status="finished", ended_at=moment),
            say.RegisteredCreated(registered="fraud-model", name="fraud-model", description="of payments"),
            say.RegisteredChanged(registered="fraud-model", tags={"tier": "2"}),
            say.VersionCreated(
                version="fraud-model/1",
                registered="fraud-model",
                number=1,
                source="models:/m-1",
                trial="c0ffee",
                logged="m-1",
            ),
            say.VersionChanged(version="fraud-model/1", registered="fraud-model", stage="Production"),
            say.AliasMoved(
                alias="fraud-model/champion",
                registered="fraud-model",
                name="champion",
                version="fraud-model/1",
                previous=None,
                reason="the first one",
            ),
        )


def take_others_models(folder: Path) -> None:
    """What is told of models that were not made here: a notebook's, one that is unsteady, one that lives elsewhere."""
    from tallystick.ledger.events import types as say

    with ledger.open(folder) as book:
        run = book.now().runs()[-1]
        made = next(
            entry.event.body
            for entry in book.now().counted_events(types=["candidate.refitted"])
            if type(entry.event.body) is say.CandidateRefitted
        )
        delivered = {"source": "parquet:sas/*.parquet", "declared_by": "the risk team", "models": ["PD"]}
        names = {"run": run.run, "pipeline": run.pipeline, "candidate": "score"}
        fields = {name: getattr(made, name) for name in made.__struct_fields__}
        described = {"media_type": made.media_type, "trusted_types": [], "libraries": {"numpy": "2.0"}}
        book.append(
            say.TrialModelled(
                trial="c0ffee", name="trees", estimator="sklearn.tree:DecisionTreeClassifier", artifact=made.artifact,
                unfitted=made.artifact, params={"max_depth": 3}, features=["distance"], **described,
            ),
            say.CandidateDeclared(**names, kind="delivered", estimator="predictions:sas", source=delivered),
            say.CandidateTried(**names, rows=500, largest_difference=0.1, sentence="It answers differently."),
            say.CandidateDelivered(**{**fields, "model": f"{run.pipeline}-v99"}, **delivered),
        )  # fmt: skip


def corpus(folder: Path) -> dict[str, str]:
    """One event, as it lies there, for every type and version."""
    lines: dict[str, str] = {}
    with ledger.open(folder) as book:
        for stored in book.log.events():
            if stored.data is not None:
                event = types.decode(stored.data)
                line = f"{stored.id.hex()} {stored.sha256.hex()} {stored.data.decode()}"
                lines.setdefault(f"{event.t}/{event.v}", line)
    return lines


def main(name: str) -> None:
    target = FIXTURES / "frozen" / name
    if target.exists():
        raise SystemExit(f"{target} is frozen.")
    with tempfile.TemporaryDirectory() as temporary:
        here = Path(temporary)
        os.environ.update(XDG_CONFIG_HOME=str(here / "config"), XDG_STATE_HOME=str(here / "state"))
        for variable in ("TALLY_LEDGER", "TALLY_SHARED", "TALLY_POLICY", "SSH_AUTH_SOCK"):
            os.environ.pop(variable, None)
        folder = here / name
        prepare(folder)
        tell(folder, here)
        known = corpus(folder)
        newest: dict[str, int] = {}
        for t, v in types.RELEASED:
            newest[t] = max(v, newest.get(t, 0))
        missing = {f"{t}/{v}" for t, v in newest.items()} - set(known)  # earlier versions are in earlier ledgers
        if missing:
            raise SystemExit(f"No event of {', '.join(sorted(missing))}.")
        log = folder / ".tally" / "ledger.db-wal"
        if log.exists() and log.stat().st_size:
            raise SystemExit("The ledger was not closed cleanly.")
        unwanted = shutil.ignore_patterns(".git", "views.db*", "ledger.db-*", "lock*", "*.parquet")
        shutil.copytree(folder, target, ignore=unwanted)
        (target / ".tally").rename(target / "tally")
        (target / "events.txt").write_text("".join(f"{line}\n" for _, line in sorted(known.items())))
        with (FIXTURES / "frozen" / "SHA256SUMS").open("a") as sums:
            for file in sorted(path for path in target.rglob("*") if path.is_file()):
                sums.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(target.parent)}\n")
        print(f"{target}: {len(known)} types, {sum(file.stat().st_size for file in target.rglob('*')):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
