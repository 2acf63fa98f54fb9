"""Next steps that work as they are printed: with the ledger that was asked, where it had to be named.

Sentences name commands, in backticks or at their end: "`tally verify` says which". Whoever said ``--ledger`` would
otherwise copy a command that looks into another ledger, or into none.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_named: Path | None = None

# A command in backticks, or one that is all there is up to the end of the line, but for "Next: " and the like.
_COMMAND = re.compile(r"`tally ([a-z-]+[^`\n]{0,300})`|(?:^|(?<=: ))tally ([a-z-]+[^`\n]{0,300})$", re.MULTILINE)
WITHOUT_A_LEDGER = ("audit-tiles", "check", "check-proof", "demo", "help", "init", "new", "replay")
"""Commands that make a ledger or need none."""


def name_ledger(path: Path | None) -> None:
    """Remember what ``--ledger`` said on the command line; None where it said nothing."""
    global _named  # noqa: PLW0603 - one command line a process
    _named = path


def here(words: str) -> str:
    """The same words, their commands asking the ledger that was named."""
    if _named is None or "tally " not in words:
        return words
    option = f" --ledger {shlex.quote(str(_named))}"

    def complete(found: re.Match[str]) -> str:
        quoted, last = found.groups()
        command = quoted or last
        if "--ledger" in command or command.endswith((".", "--help")) or command.split()[0] in WITHOUT_A_LEDGER:
            return found[0]
        return f"`tally {command}{option}`" if quoted else f"tally {command}{option}"

    return _COMMAND.sub(complete, words)
