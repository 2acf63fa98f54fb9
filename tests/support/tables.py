"""Tables as people have them, made up from a seed: sales, visits, loans; with gaps, names and columns of no use."""

from __future__ import annotations

import numpy as np
import pandas as pd


def customers(rows: int = 3_000, seed: int = 0, months: int = 18) -> pd.DataFrame:
    """A yes or no by customer and day, with a column written afterwards, an empty and a constant one."""
    chance = np.random.default_rng(seed)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(chance.integers(0, months * 30, rows)), unit="D")
    age, plan = chance.normal(45, 12, rows), chance.choice(["basic", "plus", "gold"], rows)
    odds = -1.0 + 0.05 * (age - 45) + np.where(plan == "basic", 1.0, 0.0)
    left = chance.random(rows) < 1 / (1 + np.exp(-odds))
    return pd.DataFrame(
        {
            "customer_id": np.arange(rows),
            "signup": day.strftime("%Y-%m-%d"),
            "age": np.where(chance.random(rows) < 0.1, np.nan, age.round(1)),
            "plan": plan,
            "country": "DE",
            "notes": None,
            "refund_paid": np.where(left, chance.normal(50, 5, rows), 0.0),
            "churned": np.where(left, "yes", "no"),
        }
    )


def demand(rows: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """A number by shop and step, time counted in whole numbers."""
    chance = np.random.default_rng(seed)
    day = np.repeat(np.arange(rows // 20), 20)
    shop = np.tile(np.arange(20), rows // 20)
    price = chance.uniform(1, 3, len(day)).round(2)
    sold = np.maximum(0, 20 - 4 * price + shop * 0.5 + chance.normal(0, 2, len(day))).round(0)
    return pd.DataFrame({"day": day, "shop_id": shop, "price": price, "sold": sold})
