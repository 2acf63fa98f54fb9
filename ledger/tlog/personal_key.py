"""A person's own key: of the ssh-agent, or a file of this account."""

from __future__ import annotations

import re
from pathlib import Path

from tallystick.ledger.tlog import key_store
from tallystick.ledger.tlog.note import SignerKey
from tallystick.ledger.tlog.ssh_agent import agent_keys


def personal_signer(name: str, log_keys: list[bytes]) -> tuple[key_store.Signer, Path | None]:
    """A person's own key: one of the agent that is not the log's, else their file; where one had to be made."""
    name = re.sub(r"[\s+]", "-", name)
    for held in agent_keys(name):
        if held.public not in log_keys:
            return held, None
    signer = key_store.personal_key(name)
    if signer is not None:
        return signer, None
    made = SignerKey.generate(name)
    return made, key_store.save_key(made)
