"""Something expensive that is made once, though several processes test at the same time."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from shell import Answer


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Answer]) -> tuple[Path, Answer]:
    """A folder that the first process to ask makes, and what was said; the others wait and find it.

    It may only be looked at: whatever changes in it changes for everybody.
    """
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kept = folder.with_suffix(".json")
        if not kept.exists():
            folder.mkdir()
            answer = make(folder)
            assert answer.code == 0, answer.err
            kept.write_text(json.dumps([answer.code, answer.out, answer.err]))
    return folder, Answer(subprocess.CompletedProcess([], *json.loads(kept.read_text())))
