"""How well a candidate does in time, how surely, and how evenly: scores, intervals, comparisons.

Everything is relative to a reference in the same window, because months differ in how hard they are, and
everything is monotone, because a score that punishes spread can be raised by making the early months worse.
Intervals come from a two-level bootstrap: windows are drawn with replacement, and inside each drawn window whole
resample units (days, say), since errors of one unit move together. All candidates share the same draws, and the
draws of a window depend only on the seed and the window's label, so neither the order of windows nor the presence
of another candidate changes anybody's numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
from blake3 import blake3

from ledger.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

DRAWS = 2_000
MOST_WINDOWS_FOR_EXACT_SIGNS = 16
LARGEST_DRAW_CELLS = 4_000_000


class WindowLosses(NamedTuple):
    """The losses of all candidates in one window, summed by resample unit.

    Attributes
    ----------
    label : str
    rows : (U,) float64, test rows in each unit
    losses : candidate -> (U,) float64, sum of its row losses in each unit; smaller is better
    """

    label: str
    rows: Floats
    losses: dict[str, Floats]


class Interval(msgspec.Struct, frozen=True):
    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether zero lies outside."""
        return self.low > 0 or self.high < 0


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate over all windows; gains are relative improvements of the loss on the reference.

    ``mean_gain`` and ``worst_quarter`` decide. The rest is reported and never ranked on.
    """

    candidate: str
    gains: dict[str, float]
    mean_gain: float
    mean_interval: Interval
    worst_quarter: float
    """Mean of the ceil(W / 4) smallest gains."""
    worst_quarter_interval: Interval
    worst_windows: list[str]
    """Labels of those windows, the worst first."""
    wins: int
    """Windows with a gain above zero."""
    slope: float
    """Theil-Sen, gain a window."""
    slope_interval: Interval
    residual_sd: float | None
    noise_share: float | None
    """Sampling variance of a window's gain as a share of the variance between windows."""
    trend_penalised: float | None
    """mean + horizon · min(0, slope) − 0.5 · sd: known from a public competition, gameable, so only for reference."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate against another; positive means that the first is better."""

    first: str
    second: str
    mean_difference: float
    mean_interval: Interval
    worst_quarter_difference: float
    worst_quarter_interval: Interval
    windows_won: int
    sign_flip_p: float
    smallest_p: float
    """The smallest that this number of windows allows: 2 / 2^W."""


class Trial:
    """All candidates over all windows, with the bootstrap behind the intervals."""

    def __init__(
        self, windows: Sequence[WindowLosses], *, reference: str, confidence: float, seed: int, draws: int = DRAWS
    ) -> None:
        if not windows:
            raise InvalidInput("Without a complete window nothing can be compared.")
        self.windows = sorted(windows, key=lambda window: window.label)
        self.labels = [window.label for window in self.windows]
        self.reference = reference
        self.confidence = confidence
        self.seed = seed
        self.candidates = [name for name in self.windows[0].losses if name != reference]
        self._gains = {name: self._observed(name) for name in self.candidates}
        self._drawn = _draw_gains(self.windows, self.candidates, reference, seed, draws)

    def _observed(self, candidate: str) -> Floats:
        return np.array(
            [gain(float(w.losses[self.reference].sum()), float(w.losses[candidate].sum())) for w in self.windows]
        )

    def score(self, candidate: str, horizon_windows: float = 0.0) -> Score:
        """All scores of one candidate; ``horizon_windows`` is its validity counted in windows."""
        from scipy.stats import theilslopes

        gains = self._gains[candidate]
        order = np.argsort(gains, kind="stable")
        slope, intercept, low, high = 0.0, float(gains[0]), 0.0, 0.0
        if len(gains) > 1:
            slope, intercept, low, high = map(float, theilslopes(gains, alpha=self.confidence))
        residuals = gains - (intercept + slope * np.arange(len(gains)))
        residual_sd = float(math.sqrt((residuals**2).sum() / (len(gains) - 2))) if len(gains) > 2 else None
        spread = float(gains.std(ddof=1)) if len(gains) > 1 else None
        errors = [self._gain_variance(window, candidate) for window in self.windows]
        noise = float(np.mean(errors)) / spread**2 if spread else None
        return Score(
            candidate=candidate,
            gains=dict(zip(self.labels, map(float, gains), strict=True)),
            mean_gain=float(gains.mean()),
            mean_interval=self._interval(self._drawn[candidate].mean(axis=1)),
            worst_quarter=float(_worst_quarter(gains[None, :])[0]),
            worst_quarter_interval=self._interval(_worst_quarter(self._drawn[candidate])),
            worst_windows=[self.labels[i] for i in order[: _quarter(len(gains))]],
            wins=int((gains > 0).sum()),
            slope=slope,
            slope_interval=Interval(low, high),
            residual_sd=residual_sd,
            noise_share=noise,
            trend_penalised=None
            if spread is None
            else float(gains.mean()) + horizon_windows * min(0.0, slope) - 0.5 * spread,
        )

    def pair(self, first: str, second: str) -> Pair:
        """Compare two candidates on the same draws."""
        one, two = self._against_reference(first), self._against_reference(second)
        drawn = self._drawn_against_reference(first), self._drawn_against_reference(second)
        differences = one - two
        return Pair(
            first=first,
            second=second,
            mean_difference=float(differences.mean()),
            mean_interval=self._interval(drawn[0].mean(axis=1) - drawn[1].mean(axis=1)),
            worst_quarter_difference=float(_worst_quarter(one[None, :])[0] - _worst_quarter(two[None, :])[0]),
            worst_quarter_interval=self._interval(_worst_quarter(drawn[0]) - _worst_quarter(drawn[1])),
            windows_won=int((differences > 0).sum()),
            sign_flip_p=sign_flip_p(differences, self.seed),
            smallest_p=min(1.0, 2.0 / 2.0 ** len(differences)),
        )

    def regret(self) -> dict[str, float]:
        """Mean gain that each candidate leaves to the best one of each window; it depends on who takes part."""
        best = np.max([self._gains[name] for name in self.candidates], axis=0)
        return {name: float((best - self._gains[name]).mean()) for name in self.candidates}

    def _against_reference(self, name: str) -> Floats:
        return np.zeros(len(self.windows)) if name == self.reference else self._gains[name]

    def _drawn_against_reference(self, name: str) -> Floats:
        return np.zeros_like(next(iter(self._drawn.values()))) if name == self.reference else self._drawn[name]

    def _interval(self, drawn: Floats) -> Interval:
        tail = (1.0 - self.confidence) / 2.0
        low, high = np.quantile(drawn, [tail, 1.0 - tail])
        return Interval(float(low), float(high))

    def _gain_variance(self, window: WindowLosses, candidate: str) -> float:
        """Variance of a window's gain over its units: the ratio of two sums, linearised."""
        ours, reference = window.losses[candidate], window.losses[self.reference]
        total, units = float(reference.sum()), len(reference)
        if units < 2 or total == 0.0:
            return 0.0
        influence = (ours - ours.sum() / total * reference) / total
        return float(units / (units - 1) * np.square(influence).sum())


def gain(reference_loss: float, loss: float) -> float:
    """Relative improvement ``(reference − loss) / reference``.

    A reference without any loss cannot be improved on: the gain is then 0 for another perfect candidate and −1
    for any other, so that worsening still never helps.
    """
    if reference_loss == 0.0:
        return 0.0 if loss == 0.0 else -1.0
    return (reference_loss - loss) / reference_loss


def _quarter(windows: int) -> int:
    return math.ceil(windows / 4)


def _worst_quarter(gains: Floats) -> Floats:
    """Mean of the smallest quarter along the last axis. Monotone in every gain."""
    return np.asarray(np.sort(gains, axis=-1)[..., : _quarter(gains.shape[-1])].mean(axis=-1))


def _draw_gains(
    windows: Sequence[WindowLosses], candidates: Sequence[str], reference: str, seed: int, draws: int
) -> dict[str, Floats]:
    """Gains of each candidate in the windows of each draw: candidate -> (draws, W)."""
    chosen = _random(seed, "windows", str(len(windows))).integers(0, len(windows), size=(draws, len(windows)))
    drawn = {name: np.empty(chosen.shape) for name in candidates}
    for index, window in enumerate(windows):
        places = np.nonzero(chosen == index)
        units = len(window.rows)
        random = _random(seed, "units", window.label)
        step = max(1, LARGEST_DRAW_CELLS // units)
        for start in range(0, len(places[0]), step):
            part = tuple(axis[start : start + step] for axis in places)
            units_drawn = random.integers(0, units, size=(len(part[0]), units))
            base = window.losses[reference][units_drawn].sum(axis=1)
            safe = np.where(base == 0.0, 1.0, base)
            for name in candidates:
                loss = window.losses[name][units_drawn].sum(axis=1)
                ratio = np.where(base == 0.0, np.where(loss == 0.0, 0.0, -1.0), (base - loss) / safe)
                drawn[name][part] = ratio
    return drawn


def _random(seed: int, *labels: str) -> np.random.Generator:
    """A generator that depends on the seed and what it is for, and on nothing else."""
    digest = blake3("\x00".join((str(seed), *labels)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


def sign_flip_p(differences: Floats, seed: int) -> float:
    """Two-sided p of the mean difference when the sign of every window's difference is a coin toss.

    Exact over all patterns up to 16 windows; beyond, 65,536 random patterns with the observed one included.
    """
    observed = abs(float(differences.mean()))
    count = len(differences)
    if count <= MOST_WINDOWS_FOR_EXACT_SIGNS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=count)))
    else:
        signs = _random(seed, "signs").choice((1.0, -1.0), size=(65_536, count))
        signs[0] = 1.0
    means = np.abs(signs @ differences / count)
    # Patterns that tie with the observed mean belong to the tail; rounding must not push them out.
    return float((means >= observed * (1.0 - 1e-12)).mean())


# Standard errors over whole units --------------------------------------------------------------------------


def cluster_se_of_mean(sums: Floats, rows: Floats) -> float | None:
    """Standard error of ``sum(sums) / sum(rows)`` when rows of one unit move together.

    The linearised ratio estimator with units as clusters (Cameron and Miller, "A practitioner's guide to
    cluster-robust inference", 2015). None with fewer than two units.
    """
    units = len(sums)
    if units < 2:
        return None
    influence = sums - sums.sum() / rows.sum() * rows
    return float(math.sqrt(units / (units - 1) * np.square(influence).sum()) / rows.sum())


def calibration_in_large(y: Floats, p: Floats, units: Codes) -> tuple[float, float | None]:
    """Mean prediction minus observed mean, with its standard error over units."""
    sums = np.bincount(units, weights=p - y).astype(np.float64)
    rows = np.bincount(units).astype(np.float64)
    return float((p - y).mean()), cluster_se_of_mean(sums[rows > 0], rows[rows > 0])


def auc_with_cluster_se(y: Floats, p: Floats, units: Codes) -> tuple[float | None, float | None]:
    """Area under the ROC curve and its standard error for clustered rows.

    Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53 (1997): structural components
    of each row, summed by unit. Ties count one half. None where there is only one class, or, for the error,
    where fewer than two units hold a class.
    """
    positive = y == 1.0
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return None, None
    ranks = _mid_ranks(p)
    # Share of the other class that each row beats: its rank among all, less its rank among its own class.
    v10 = (ranks[positive] - _mid_ranks(p[positive])) / n
    v01 = 1.0 - (ranks[~positive] - _mid_ranks(p[~positive])) / m
    auc = float(v10.mean())
    size = int(units.max()) + 1
    m_k = np.bincount(units[positive], minlength=size).astype(np.float64)
    n_k = np.bincount(units[~positive], minlength=size).astype(np.float64)
    d10 = np.bincount(units[positive], weights=v10, minlength=size) - m_k * auc
    d01 = np.bincount(units[~positive], weights=v01, minlength=size) - n_k * auc
    with_m, with_n, with_any = int((m_k > 0).sum()), int((n_k > 0).sum()), int((m_k + n_k > 0).sum())
    if with_m < 2 or with_n < 2:
        return auc, None
    s10 = with_m / ((with_m - 1) * m) * np.square(d10).sum()
    s01 = with_n / ((with_n - 1) * n) * np.square(d01).sum()
    s11 = with_any / (with_any - 1) * (d10 * d01).sum()
    variance = s10 / m + s01 / n + 2.0 * s11 / (m * n)
    return auc, math.sqrt(max(0.0, float(variance)))


def _mid_ranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    ends = np.r_[starts[1:], len(values)]
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + 1 + ends) / 2.0, ends - starts)
    return ranks
