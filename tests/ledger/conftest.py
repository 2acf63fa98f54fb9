"""Another person's ledger, for the tests of what is imported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from given import Ticking, seeded_salts
from stories import told

from tallystick import ledger
from tallystick.ledger.system.provenance import Recorder
from tallystick.ledger.tlog import pins

ANN = Recorder(actor="ann@example.org", user="ann", host="laptop", tool="tallystick 0.0.9")
LAST_YEAR = dt.datetime(2012, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[ledger.Ledger]:
    """What Ann kept on her laptop a year ago; this account knows nothing of her key."""
    with ledger.create(
        tmp_path / "ann", timezone="UTC", key_home="file", recorder=ANN, clock=Ticking(LAST_YEAR), salts=seeded_salts(1)
    ) as made:
        told(made)
        made.checkpoint()
        pins.forget(made.origin)
        yield made
