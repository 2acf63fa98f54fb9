"""A sample of ``tests/campaigns/fuzz_parsers.py``, which puts a million inputs to each parser of foreign text."""

from __future__ import annotations

import pytest
from foreign import names, target
from fuzz_parsers import fuzz
from hypothesis import given
from hypothesis import strategies as st

from tallystick.ledger.tlog.note import Checkpoint, parse_receipt, receipt_line


@pytest.mark.parametrize("name", names())
def test_only_our_own_errors_come_out_quickly_and_what_is_accepted_reads_back(name: str) -> None:
    row = fuzz(name, target(name).sample, seed=1)
    # Neither everything nor nothing passes: the inputs are near enough to valid ones to reach every corner.
    assert row.refused > 0
    assert row.accepted > 0


@given(
    size=st.integers(1, 10**12),
    root=st.binary(min_size=32, max_size=32),
    quote=st.sampled_from(["", "> ", ">> ", "    ", "\u00a0", "| "]),
    end=st.sampled_from(["\n", "\r\n", "  \n", "\u00a0\r\n"]),
    before=st.sampled_from(["", "Dear all,\n\n", "see below\n"]),
)
def test_a_receipt_survives_being_pasted(size: int, root: bytes, quote: str, end: str, before: str) -> None:
    checkpoint = Checkpoint("acme/credit-1", size, root)
    assert parse_receipt(f"{before}{quote}{receipt_line(checkpoint)}{end}regards").checkpoint == checkpoint
