"""A repository that somebody else prepared: nothing that it, or the environment, names is run when git is asked."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest
from shell import tally

from tallystick import ledger
from tallystick.ledger.system import git as git_asked
from tallystick.ledger.system.git import Changed, ask_git, changed, git
from tallystick.ledger.system.provenance import this_process

ROOT = Path(__file__).resolve().parent.parent.parent
IDENTITY = ("-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "protocol.file.allow=always")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def plain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """git as people run it, with everything that the repository asks for."""
    return subprocess.run(
        ["git", *IDENTITY, *arguments], cwd=folder, capture_output=True, text=True, check=False, env=CLEAN, timeout=60
    )


class Trap:
    """Programs that leave a file behind when they run."""

    def __init__(self, folder: Path) -> None:
        self.seen = folder / "seen"
        self.seen.mkdir(parents=True)
        self.program = folder / "program"
        self.program.write_text(f'#!/bin/sh\ntouch {self.seen}/"$1"\ncat\n')
        self.program.chmod(0o755)

    def named(self, what: str) -> str:
        return f"{self.program} {what}"

    def sprung(self) -> list[str]:
        found = sorted(path.name for path in self.seen.iterdir())
        for path in self.seen.iterdir():
            path.unlink()
        return found


def poisoned(folder: Path, trap: Trap) -> None:
    """A repository with a submodule, both full of settings that name programs, and files that git wants to read."""
    inner = folder.parent / f"{folder.name}-inner"
    for place in (inner, folder):
        place.mkdir(exist_ok=True)
        plain(place, "init", "-q")
        (place / "code.py").write_text("x = 1\n")
        (place / "big.bin").write_text("big\n")
        (place / ".gitattributes").write_text("*.py diff=theirs\n*.bin filter=their.s diff=theirs\n")
        plain(place, "add", ".")
        plain(place, "commit", "-qm", "x")
    plain(folder, "submodule", "add", "-q", str(inner), "sub")
    plain(folder, "commit", "-qm", "sub")
    plain(folder, "config", "submodule.sub.ignore", "none")
    for place in (folder, folder / "sub"):
        settings = {
            "core.fsmonitor": trap.named("fsmonitor"),
            "core.pager": trap.named("pager"),
            "core.sshCommand": trap.named("ssh"),
            "core.editor": trap.named("editor"),
            "core.askPass": trap.named("askpass"),
            "credential.helper": f"!{trap.named('credential')}",
            "diff.external": trap.named("external"),
            "diff.theirs.textconv": trap.named("textconv"),
            "diff.theirs.command": trap.named("command"),
            "diff.submodule": "diff",
            "filter.their.s.clean": trap.named("clean"),
            "filter.their.s.smudge": trap.named("smudge"),
            "filter.their.s.required": "true",
            "gpg.program": str(trap.program),
            "commit.gpgSign": "true",
            "log.showSignature": "true",
            "alias.status": f"!{trap.named('alias')}",
            "remote.origin.url": f"ext::{trap.named('ext')}",
            "remote.origin.promisor": "true",
            "extensions.partialClone": "origin",
        }
        hooks = folder.parent / "hooks"
        hooks.mkdir(exist_ok=True)
        for hook in ("pre-commit", "commit-msg", "post-index-change", "reference-transaction", "post-commit"):
            (hooks / hook).write_text(f"#!/bin/sh\n{trap.named(hook)} < /dev/null\n")
            (hooks / hook).chmod(0o755)
        settings["core.hooksPath"] = str(hooks)
        # By way of an included file, as a condition would choose it.
        included = folder.parent / f"{place.name}.inc"
        for name, value in settings.items():
            plain(place, "config", "-f", str(included), name, value)
        git_dir = subprocess.run(
            ["git", "-C", str(place), "rev-parse", "--absolute-git-dir"], capture_output=True, text=True, check=True
        ).stdout.strip()
        with (Path(git_dir) / "config").open("a") as config:
            config.write(f'[includeIf "gitdir:/"]\n\tpath = {included}\n')
        (place / "code.py").write_text("x = 2\n")
        (place / "big.bin").touch()
    trap.sprung()


@pytest.fixture
def trap(tmp_path: Path) -> Trap:
    return Trap(tmp_path / "trap")


@pytest.fixture
def theirs(tmp_path: Path, trap: Trap) -> Path:
    folder = tmp_path / "theirs"
    poisoned(folder, trap)
    return folder


def test_the_traps_are_alive(theirs: Path, trap: Trap) -> None:
    """What plain git does there, so that silence below means something."""
    plain(theirs, "status", "--porcelain")
    plain(theirs, "--no-pager", "diff", "HEAD", "--no-ext-diff")
    plain(theirs, "--no-pager", "diff", "HEAD")
    plain(theirs, "commit", "-qam", "x")
    assert {"clean", "command", "fsmonitor", "textconv", "pre-commit"} <= set(trap.sprung())


QUESTIONS = [
    ("status", "--porcelain"),
    ("diff", "HEAD", "--binary"),
    ("diff", "HEAD", "--submodule=diff"),
    ("log", "-p", "-1", "--", "sub"),
    ("log", "--show-signature", "-1"),
    ("ls-files",),
    ("rev-parse", "HEAD"),
    ("add", "--", "code.py"),
    ("commit", "-m", "x", "--", "code.py"),
    ("cat-file", "-p", "11" * 20),
    ("fetch", "origin"),
    ("ls-remote", "origin"),
]


@pytest.mark.parametrize("question", QUESTIONS, ids=[" ".join(question[:2]) for question in QUESTIONS])
def test_no_question_runs_what_a_repository_names(theirs: Path, trap: Trap, question: tuple[str, ...]) -> None:
    git(theirs, *question)
    assert trap.sprung() == []


def test_no_question_runs_what_the_environment_names(
    theirs: Path, trap: Trap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", trap.named("external"))
    monkeypatch.setenv("GIT_SSH_COMMAND", trap.named("ssh"))
    monkeypatch.setenv("GIT_PAGER", trap.named("pager"))
    monkeypatch.setenv("GIT_EXEC_PATH", str(trap.program.parent))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", trap.named("fsmonitor"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", f"'core.fsmonitor={trap.named('fsmonitor')}'")
    assert ask_git(theirs, "rev-parse", "--show-toplevel") == str(theirs.resolve())
    assert ask_git(theirs, "diff", "HEAD", "--", "code.py")
    assert trap.sprung() == []


def test_a_git_of_the_folders_own_is_not_run(theirs: Path, trap: Trap, monkeypatch: pytest.MonkeyPatch) -> None:
    (theirs / "git").write_text(f"#!/bin/sh\n{trap.named('git')}\n")
    (theirs / "git").chmod(0o755)
    monkeypatch.chdir(theirs)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert ask_git(theirs, "rev-parse", "HEAD")
    assert trap.sprung() == []


def test_a_filter_whose_name_cannot_be_written_on_a_command_line_ends_the_question(theirs: Path, trap: Trap) -> None:
    """`-c a=b` is split at the first equals sign, so such a filter could not be turned off."""
    plain(theirs, "config", "filter.a=b.clean", trap.named("clean"))
    (theirs / ".gitattributes").write_text("* filter=a=b\n")
    trap.sprung()
    assert git(theirs, "status") is None
    assert trap.sprung() == []


def test_a_configuration_too_long_to_be_read_ends_the_question(
    theirs: Path, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A filter behind 64 MiB of settings would not be seen, and so not be turned off."""
    monkeypatch.setattr(git_asked, "LARGEST_ANSWER_BYTES", 100)
    assert git(theirs, "rev-parse", "HEAD") is None
    assert trap.sprung() == []


def test_what_changed_is_told_apart_from_what_a_filter_might_explain(theirs: Path) -> None:
    assert changed(theirs) == Changed(["code.py"], []) or changed(theirs) == Changed(["code.py"], ["big.bin"])
    (theirs / "big.bin").write_text("other\n")
    assert changed(theirs) == Changed(["code.py"], ["big.bin"])
    (theirs / "code.py").write_text("x = 1\n")
    assert changed(theirs) == Changed([], ["big.bin"])


def test_commands_run_nothing_there(theirs: Path, trap: Trap, tmp_path: Path) -> None:
    book = tally(theirs, "init")
    assert book.code == 0, book.err
    for arguments in (("receipt",), ("receipt", "--git"), ("seal",), ("verify",), ("anchors",), ("status",)):
        answer = tally(theirs, *arguments)
        assert answer.code == 0, (arguments, answer.err)
        assert trap.sprung() == [], arguments
    assert ask_git(theirs, "log", "-1", "--format=%s", "--", "receipts.txt").startswith("receipt ")  # type: ignore[union-attr]


def test_a_head_records_the_commit_and_what_is_not_in_it(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(theirs)
    this_process.cache_clear()
    found = this_process()
    this_process.cache_clear()
    assert (found.git, found.dirty) == (plain(theirs, "rev-parse", "HEAD").stdout.strip(), True)


def test_git_is_started_in_one_place_only() -> None:
    """Whoever starts a program elsewhere in the three packages starts one that is not git."""
    starts = {
        path.relative_to(ROOT).as_posix()
        for package in ("ledger", "pipeline", "tui")
        for path in (ROOT / package).rglob("*.py")
        if "subprocess" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value == "git"
    }
    assert starts == {"ledger/system/git.py"}


# Whose ledger it is ----------------------------------------------------------------------------------------


@pytest.fixture
def above(book: ledger.Ledger, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder below a ledger, for an account that is not its owner."""
    below = book.folder.parent / "work" / "mine"
    below.mkdir(parents=True)
    book.close()
    owner = book.folder.stat().st_uid
    monkeypatch.delenv("SUDO_UID", raising=False)
    if owner == 0:
        os.chown(book.folder, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    return below


def test_a_ledger_above_that_belongs_to_somebody_else_is_named_and_refused(above: Path) -> None:
    folder = above.parent.parent / ".tally"
    with pytest.raises(ledger.Refused) as refused:
        ledger.find(above)
    assert str(folder) in refused.value.message
    assert f"--ledger {folder}" in refused.value.hint
    # Standing in the folder itself is a choice, and so is naming it.
    assert ledger.find(folder.parent) == folder
    with ledger.open(folder) as book:
        assert book.log.size() == 1


def test_the_hint_for_it_helps(above: Path) -> None:
    folder = above.parent.parent / ".tally"
    if folder.stat().st_uid == os.geteuid() or os.geteuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    refused = tally(above, "status")
    assert refused.code == 1
    assert "belongs to" in refused.err
    assert tally(above, "status", "--ledger", str(folder)).code == 0
    assert tally(above, "status", TALLY_LEDGER=str(folder)).code == 0
    # Nothing begins a second ledger below it in silence, either.
    assert tally(above, "trials").code == 1


def test_a_training_below_it_goes_on_and_its_records_wait(above: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tallystick

    monkeypatch.chdir(above)
    with pytest.warns(UserWarning, match="was not opened"):
        trial = tallystick.run("notebook")
    with trial as run:
        run.log(step=1, loss=0.5)
    with ledger.open(above.parent.parent / ".tally") as book:
        assert book.log.size() == 1
