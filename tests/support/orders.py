"""A table that is not the example's: a shop's orders and whether they come back, in months, with two candidates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

FILE = """
schema = 1
name = "returns"
owner = "ann@example.org"

[questions]
decision = "Will this order come back?"
unit = "one order"
prediction_at = "ordered_at"
used_for = "one month at a time"
cost_of_wrong = "a parcel sent for nothing"
not_for = ["gifts"]

[data]
source = "parquet:orders.parquet"
target = { column = "returned", rule = "> 0", positive = "returned" }
key = ["order_id"]
why = "made for a test"

[data.features]
"price, pieces, shop" = { known_at = "ordered_at" }

[time]
column = "ordered_at"
timezone = "Europe/Berlin"
window = "1 month"
first_test = 2024-03-01
last_test = 2024-07-01
train = "expanding"
gap = "0d"
label_delay = "1d"
refit = "every window"
why = "orders are planned by the month"

[time.final]
test = []
looks = 1
why = "too few months to seal one"

[candidates.base_rate]
estimator = "sklearn.dummy:DummyClassifier"
params = { strategy = "prior" }
complexity = 0
role = "reference"
why = "what is known without a model"

[candidates.logistic]
estimator = "pipeline.recipes:linear"
params = { C = 1.0 }
complexity = 1
why = "simple"

[selection]
metric = "log_loss"
rule = "stable_among_equals"
margin = 0.005
confidence = 0.90
resample = "day"
seed = 1
why = "as everywhere"

[gates]
beats_reference_in = { at_least = "3 of 5 windows", why = "more often than not" }

[validity]
valid_for = "200 days"
outside = "refuse"
why = "the season changes"

[automation]
level = "manual"
why = "too young"

[monitoring]
every = "1 month"
compare_to = "same windows of the model's own back-test"
segments = ["shop"]
min_rows = 50
notice = "outside 8 of 10 own windows"
alarm = "outside every own window by half its range, or worse than the reference"
estimate_before_labels = true
why = "it decides about parcels"
"""


def orders(first: str = "2024-01-01", last: str = "2024-08-31", per_day: int = 6) -> pd.DataFrame:
    """Orders at every second hour from eight o'clock on; whether one comes back follows from all three."""
    days = pd.date_range(first, last, freq="D")
    generator = np.random.default_rng(days[0].toordinal())
    rows = len(days) * per_day
    hours = pd.to_timedelta(np.tile(8 + 2 * np.arange(per_day), len(days)), unit="h")
    price = generator.gamma(2.0, 40.0, rows).round(2)
    pieces = generator.integers(1, 9, rows)
    shop = generator.choice(["Ulm", "Köln", "Zürich"], rows)
    z = 0.6 * (pieces - 4.5) + 0.025 * (price - 80) + np.where(shop == "Ulm", 1.5, 0.0)
    return pd.DataFrame(
        {
            "ordered_at": days.repeat(per_day) + hours,
            "order_id": days[0].toordinal() * 1_000 + np.arange(rows),
            "price": price,
            "pieces": pieces,
            "shop": shop,
            "returned": (generator.random(rows) < 1 / (1 + np.exp(-z))).astype(int),
        }
    )


def file_for(folder: Path, frame: pd.DataFrame | None = None, name: str = "orders.toml", **changes: str) -> Path:
    """The pipeline file, with texts replaced, beside its table."""
    text = FILE
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / name).write_text(text)
    if frame is not None:
        frame.to_parquet(folder / "orders.parquet", index=False)
    return folder / name


STEPS = {
    'column = "ordered_at"': 'column = "day"\nunit = "step"',
    '"ordered_at"': '"day"',
    '"Europe/Berlin"': '"UTC"',
    'window = "1 month"': 'window = "30 steps"',
    "2024-03-01": "60",
    "2024-07-01": "180",
    '"0d"': '"0 steps"',
    '"1d"': '"1 step"',
    '"200 days"': '"60 steps"',
    'every = "1 month"': 'every = "30 steps"',
}


def by_step(frame: pd.DataFrame) -> pd.DataFrame:
    """The orders by the number of their day, 0 for the first one."""
    return frame.assign(day=(frame["ordered_at"].dt.normalize() - pd.Timestamp("2024-01-01")).dt.days)
