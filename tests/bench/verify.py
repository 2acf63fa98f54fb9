"""How long a verdict takes, against the raw limit: reading and hashing the same bytes and nothing else.

    python tests/bench/verify.py [EVENTS] [real|small]

``real``: the events of a run of the flights fixture (3.4 kB on average), again and again under other names;
``small``: ends of runs and stored artifacts (about 300 bytes). Ten commits a run, its last one signed. Prints seconds
of the clock and of processors, which hold on a busy machine, too; ratios of the latter; peak memory; and the time of
one inclusion proof. Artifacts themselves are not there, so only the ledger is judged.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / ".src"))
sys.path.insert(0, str(ROOT / "tests" / "support"))

from tallystick import ledger  # noqa: E402
from tallystick.ledger.storage import tree  # noqa: E402
from tallystick.ledger.tlog import key_store  # noqa: E402
from tallystick.ledger.verify.report import Asked  # noqa: E402
from tallystick.ledger.verify.verify import verify  # noqa: E402


def template(folder: Path) -> list[list[ledger.Draft]]:
    """The commits of one real run, as drafts."""
    from given import FIXTURES

    from tallystick.ledger.events.encoding import Draft
    from tallystick.pipeline.config.load import read
    from tallystick.pipeline.runs.run import run

    loaded = read(FIXTURES / "late-arrivals.toml")
    with ledger.create(folder / "template", timezone="UTC") as book:
        run(book, loaded, workers=2, on_outline=lambda _: None, on_progress=lambda *_: None)
        commits: dict[int, list[Draft]] = {}
        for entry in book.events(1):
            if entry.event.t != "schema.declared":
                commits.setdefault(entry.n, []).append(Draft(entry.event.body, entry.event.about))
    return list(commits.values())


def renamed(draft: ledger.Draft, number: int) -> ledger.Draft:
    """The same event of another run: its own run, decision, model and artifacts."""
    import msgspec

    body = draft.body
    changes: dict[str, object] = {}
    for field in ("run", "decision"):
        if isinstance(getattr(body, field, None), str):
            changes[field] = f"2013-01-01.{number}"
    if isinstance(getattr(body, "model", None), str):
        changes["model"] = f"late-arrivals-v{number}"
    if isinstance(getattr(body, "window", None), str):
        changes["window"] = f"2013-01-01.{number}/{body.label}"  # type: ignore[attr-defined]
    if isinstance(getattr(body, "artifact", None), str):
        changes["artifact"] = sha256(f"{body.artifact}{number}".encode()).hexdigest()  # type: ignore[attr-defined]
    return draft._replace(body=msgspec.structs.replace(body, **changes))


def small() -> list[list[ledger.Draft]]:
    """Ten commits of ten events of about 300 bytes."""
    from histories import HASH, finished

    from tallystick.ledger.events.types import ArtifactStored

    stored = ArtifactStored(artifact=HASH, size_bytes=1234, media_type="application/x", role="loss table", run="r")
    return [[ledger.Draft(finished("r", "p")), *(ledger.Draft(stored) for _ in range(9))] for _ in range(10)]


def make(folder: Path, events: int, kind: str) -> None:
    """A ledger of about ``events`` events."""
    commits = small() if kind == "small" else template(folder)
    with ledger.create(folder, timezone="UTC") as book:
        # The benchmark is about reading; durability of its making is nobody's concern.
        book.writer.connection.execute("PRAGMA synchronous = OFF")
        number = written = 0
        while written < events:
            number += 1
            for index, commit in enumerate(commits):
                book.append(*(renamed(draft, number) for draft in commit), sign=index == len(commits) - 1)
                written += len(commit)
        book.now().pipelines()


def raw(path: Path) -> float:
    """Processor seconds to read every body and hash it twice."""
    from blake3 import blake3

    from tallystick.ledger.events.event import EVENT_CONTEXT
    from tallystick.ledger.storage.sqlite import open_read_only

    hasher = blake3(derive_key_context=EVENT_CONTEXT)
    start = time.process_time()
    connection = open_read_only(path)
    for (data,) in connection.execute("SELECT CAST(body AS BLOB) FROM events ORDER BY seq"):
        copy = hasher.copy()
        copy.update(data)
        copy.digest()
        sha256(data).digest()
    connection.close()
    return time.process_time() - start


def judge(folder: str, workers: int) -> None:
    """In a process of its own, so that its memory is its own."""
    with ledger.open(folder) as book:
        start = time.perf_counter()
        verdict = verify(book, Asked(workers=workers))
        seconds = time.perf_counter() - start
        assert verdict.verified or {f.kind for f in verdict.findings} <= {"ARTIFACT"}, verdict.findings[:3]
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    processor = sum(usage.ru_utime + usage.ru_stime for usage in used)
    print(f"{processor:.2f} {seconds:.2f} {max(usage.ru_maxrss for usage in used) / 1024:.0f}")


def proof_milliseconds(folder: Path) -> float:
    """Median time of one inclusion proof, reading what is stored."""
    with ledger.open(folder) as book:
        size = book.log.size()
        times = []
        for index in range(0, size, max(1, size // 200)):
            start = time.perf_counter()
            tree.inclusion_path(book.log, index, size)
            times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main() -> None:
    if sys.argv[1:2] == ["judge"]:
        judge(sys.argv[2], int(sys.argv[3]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("events", nargs="?", type=int, default=100_000)
    parser.add_argument("kind", nargs="?", default="real")
    asked = parser.parse_args()
    events, kind = asked.events, asked.kind
    with tempfile.TemporaryDirectory() as name:
        folder = Path(os.environ.get("TALLY_BENCH_KEEP", name))
        os.environ.setdefault("XDG_CONFIG_HOME", str(folder / "config"))
        os.environ.setdefault("XDG_STATE_HOME", str(folder / "state"))
        os.environ.pop("SSH_AUTH_SOCK", None)
        if not (folder / ".tally").exists():
            make(folder, events, kind)
        path = folder / ".tally" / "ledger.db"
        print(f"{events:,} {kind} events, {path.stat().st_size / 1e6:,.0f} MB, keys in {key_store.keys_home()}")
        limit = min(raw(path) for _ in range(3))
        print(f"reading and hashing alone   {limit:6.2f} s of processor")
        for workers in (1, 2):
            done = [
                subprocess.run(
                    [sys.executable, __file__, "judge", str(folder), str(workers)],
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout.split()
                for _ in range(3)
            ]
            processor, seconds, megabytes = (
                statistics.median(map(float, column)) for column in zip(*done, strict=True)
            )
            print(
                f"verify, {workers} process{'es' if workers > 1 else '  '}      {processor:6.2f} s of processor   "
                f"{processor / limit:4.1f} times the limit   {seconds:6.2f} s   {megabytes:.0f} MB"
            )
        print(f"inclusion proof             {proof_milliseconds(folder):6.3f} ms")


if __name__ == "__main__":
    main()
