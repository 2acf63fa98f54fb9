"""Make a ledger to be kept for ever: `python tests/support/freeze.py NAME` writes `fixtures/frozen/NAME/`.

It goes through the real commands, and holds at least one event of every type and version that this program writes;
see `fixtures/README.md`. Once committed such a folder is never written again: what it holds must verify with every
later version of the program, so a new format or a new type gets a new folder.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
from given import FIXTURES
from histories import failed, started
from shell import Answer, tally
from witness import Witness

import ledger
from ledger import vocabulary

ANN = {"TALLY_ACTOR": "ann@example.org"}
BEN = {"TALLY_ACTOR": "ben@example.org"}


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
    say("approve", run, **BEN)
    say("promote", "late-arrivals-v1", "--reason", "steady from May on")
    with ledger.open(folder) as book:
        book.append(started("2013-01-05.1", "late-arrivals"))
        personal = book.append(failed("2013-01-05.1", "late-arrivals")).last_seq
        mistaken = book.append(failed("2013-01-05.1", "late-arrivals")).last_seq
    say("correct", f"#{mistaken}", "--reason", "it had not failed")
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


def corpus(folder: Path) -> dict[str, str]:
    """One event, as it lies there, for every type and version."""
    lines: dict[str, str] = {}
    with ledger.open(folder) as book:
        for stored in book.log.events():
            if stored.data is not None:
                event = vocabulary.decode(stored.data)
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
        missing = {f"{t}/{v}" for t, v in vocabulary.RELEASED} - set(known)
        if missing:
            raise SystemExit(f"No event of {', '.join(sorted(missing))}.")
        log = folder / ".tally" / "ledger.db-wal"
        if log.exists() and log.stat().st_size:
            raise SystemExit("The ledger was not closed cleanly.")
        unwanted = shutil.ignore_patterns(".git", "views.db*", "ledger.db-*", "lock", "*.parquet")
        shutil.copytree(folder, target, ignore=unwanted)
        (target / ".tally").rename(target / "tally")
        (target / "events.txt").write_text("".join(f"{line}\n" for _, line in sorted(known.items())))
        with (FIXTURES / "frozen" / "SHA256SUMS").open("a") as sums:
            for file in sorted(path for path in target.rglob("*") if path.is_file()):
                sums.write(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(target.parent)}\n")
        print(f"{target}: {len(known)} types, {sum(file.stat().st_size for file in target.rglob('*')):,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
