"""How a table is read: a version that each run records, so that an older run is read again as it was.

1. CSV columns have the kind that each file by itself suggests; infinite numbers are numbers.
2. CSV columns have the kind that all files of a source suggest together, and text stays text where a number would
   change it (:mod:`pipeline.data.csv_text`); infinite features are refused unless the file calls them missing.
"""

from __future__ import annotations

import msgspec

from tallystick.pipeline.config.settings import Csv, Data

READING = 2
"""The version that new runs are read by."""
FIRST_READING = 1
"""The version of runs that recorded none."""


class Reading(msgspec.Struct, frozen=True):
    """How the cells of a source become values."""

    version: int = READING
    csv: Csv = Csv()
    text: frozenset[str] = frozenset()
    """CSV columns that are text, whatever stands in them: what a model knows as text."""
    exact: frozenset[str] = frozenset()
    """Columns whose values name a row: keys, and what is joined on."""
    lenient: frozenset[str] = frozenset()
    """CSV columns that are text, not an error, where they can be read in two ways: what a model knows as numbers."""
    truth: frozenset[str] = frozenset()
    """Of ``text``, those that held nothing but yes and no in training: a CSV file writes them in several ways."""


def csv_reading(data: Data, version: int = READING) -> Reading:
    """How the main table of a pipeline is read, where nothing else is known of its columns."""
    return Reading(version, data.csv or Csv())
