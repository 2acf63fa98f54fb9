"""Let each system call that writes fail once, or kill the process in it: what is left, and what was said?

    python tests/campaigns/faults.py              every call of every kind, EIO, ENOSPC and SIGKILL
    python tests/campaigns/faults.py --every 10   every tenth

Needs `strace`. A process appends three commits, two of them signed, stores an artifact, and redacts an event; before
each it says on standard output what it was told is done. The k-th `write`, `pwrite64`, `fsync`, `fdatasync`, `rename`,
`unlink` or `ftruncate` fails. Then the process must have ended with a sentence (or not have noticed, where the failure
does no harm), everything that was acknowledged is there, `verify` finds nothing wrong, and the next append works.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from histories import failed, registered  # noqa: E402

from tallystick import ledger  # noqa: E402
from tallystick.ledger.errors import TallyError  # noqa: E402
from tallystick.ledger.tlog.pins import state_home  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402

CALLS = ("write", "pwrite64", "fsync", "fdatasync", "rename", "unlink", "ftruncate")
FAULTS = {"EIO": "error=EIO", "ENOSPC": "error=ENOSPC", "SIGKILL": "signal=SIGKILL"}

CHILD = """
import sys
sys.path[:0] = [{root!r}, {support!r}]
import os
from histories import failed
from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
def say(text):
    # A failure that hits this very line is none of the ledger's.
    try:
        os.write(9, text)
    except OSError:
        os.write(9, text)
with ledger.open({team!r}) as book:
    say(b"ready\\n")  # what is counted begins here
    for n in range(3):
        appended = book.append(failed(f"{{n}}.1", "late-arrivals"), sign=n > 0)
        say(f"+ {{book.log.event(appended.last_seq).id.hex()}}\\n".encode())
    book.store(b"artifact" * 100)
    redact(book, appended.last_seq, "a campaign", "nobody")
"""


class Case(NamedTuple):
    call: str
    fault: str
    number: int


def _child(team: Path, said: Path, inject: list[str]) -> subprocess.CompletedProcess[str]:
    program = CHILD.format(root=str(ROOT / ".src"), support=str(ROOT / "tests" / "support"), team=str(team))
    wrapped = (
        "import os,sys\n"
        "from tallystick.ledger.errors import TallyError\n"
        f"descriptor = os.open({str(said)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "os.dup2(descriptor, 9)\n"
        "try:\n"
        + "".join(f"    {line}\n" for line in program.strip().splitlines())
        + "except TallyError as error:\n    sys.exit(f'{error.code}: {error.message}')\n"
    )
    command = ["strace", "-f", "-o", "/dev/null", *inject, sys.executable, "-c", wrapped]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".src")},
    )


def count_calls(template: Path, folder: Path) -> Counter[str]:
    """How often each call is made by the process when nothing fails."""
    team = _copy(template, folder)
    trace = folder / "trace.txt"
    program_calls = ",".join(CALLS)
    done = _child(team, folder / "said", ["-e", f"trace={program_calls}", "-o", str(trace)])
    if done.returncode:
        raise SystemExit(f"The process fails without any fault: {done.stderr}")
    found = re.findall(r"^\d+ +(\w+)\(", trace.read_text(), flags=re.MULTILINE)
    return Counter(found)


def _copy(template: Path, folder: Path) -> Path:
    team = folder / "team"
    shutil.rmtree(team, ignore_errors=True)
    shutil.copytree(template, team)
    # The copy is younger than what the last case left in this account's memory.
    shutil.rmtree(state_home(), ignore_errors=True)
    (folder / "said").unlink(missing_ok=True)
    return team


def one(template: Path, folder: Path, case: Case) -> str:
    """What came of one fault: ``unnoticed``, ``said so``, ``killed`` — or what is wrong, in capitals."""
    team = _copy(template, folder)
    inject = f"inject={case.call}:{FAULTS[case.fault]}:when={case.number}"
    done = _child(team, folder / "said", ["-e", f"trace={case.call}", "-e", inject])
    said = (folder / "said").read_text().split("\n") if (folder / "said").exists() else []
    seen = [line[2:] for line in said[:-1] if line.startswith("+ ")]
    if "Traceback" in done.stderr and "ready" in said:
        return f"TRACEBACK {case}: {done.stderr.strip().splitlines()[-1]}"
    try:
        with ledger.open(team) as book:
            ids = {stored.id.hex() for stored in book.log.events()}
            if not set(seen) <= ids:
                return f"LOST {case}"
            book.append(failed("after.1", "late-arrivals"), sign=True)
            verdict = verify(book, Asked(read_data=True))
            if verdict.exit_code:
                return f"NOT VERIFIED {case}: {verdict.findings}"
    except TallyError as error:
        return f"NEEDS REPAIR {case}: {error}"
    return "killed" if done.returncode < 0 or done.returncode == 137 else "said so" if done.returncode else "unnoticed"


def template_in(folder: Path) -> Path:
    """A ledger to begin each case with."""
    template = folder / "template"
    with ledger.create(template, timezone="UTC") as book:
        book.append(registered("late-arrivals"), sign=True)
    return template


def campaign(folder: Path, every: int, only: str = "") -> Counter[str]:
    """Every ``every``-th call of each kind, or only of one kind, with each fault."""
    template = template_in(folder)
    outcomes: Counter[str] = Counter()
    for call, number in sorted(count_calls(template, folder).items()):
        if only and call != only:
            continue
        for fault in FAULTS:
            for k in range(1, number + 1, every):
                outcome = one(template, folder, Case(call, fault, k))
                if outcome[:2].isupper():
                    print(outcome, file=sys.stderr)
                outcomes[f"{call:<10} {fault:<8} {outcome.split(' (')[0][:60]}"] += 1
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", choices=CALLS, default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ.update(XDG_CONFIG_HOME=str(folder / "config"), XDG_STATE_HOME=str(folder / "state"))
        os.environ.pop("SSH_AUTH_SOCK", None)
        begun = time.monotonic()
        outcomes = campaign(folder, asked.every, asked.only)
    for outcome, number in sorted(outcomes.items()):
        print(f"{outcome}  {number}")
    wrong = sum(number for outcome, number in outcomes.items() if outcome[20:22].isupper())
    print(f"{sum(outcomes.values())} faults in {time.monotonic() - begun:,.0f} s, {wrong} with harm")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
