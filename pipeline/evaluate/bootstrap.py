"""The draws behind every interval: two levels, paired, and the same whoever takes part.

The draws follow from the seed and the window labels alone, so neither the order of the windows nor the presence of
another candidate changes anybody's numbers by one bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from tallystick.ledger.errors import InvalidInput

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LOWEST_GAIN = -1e12
EXACT_SIGN_WINDOWS = 16
SIGN_PATTERNS = 20_000
CELLS_AT_ONCE = 4_000_000
"""Bounds the memory of one step of the bootstrap (32 MB of float64), however many units a window has."""


class WindowLosses(msgspec.Struct, frozen=True, eq=False):
    """Test losses of all candidates in one window, summed by resample unit.

    Attributes
    ----------
    label : str
        Name of the window, unique in a comparison.
    units : tuple of str, length U
        Names of the resample units (days, say), unique in the window.
    rows : ndarray of shape (U,)
        Test rows in each unit. They cancel in a gain and serve only the mean losses that are reported.
    losses : dict of str to ndarray of shape (U,)
        Per candidate, reference included, the sum of its row losses in each unit; zero or more, smaller is better. Of
        a ranking, the sum of the parts of its rows, of any sign; see :mod:`pipeline.evaluate.losses`.
    ranks : bool
        Whether it is a ranking that is summed: its gains are differences, not shares.
    """

    label: str
    units: tuple[str, ...]
    rows: Floats
    losses: dict[str, Floats]
    ranks: bool = False


class Interval(msgspec.Struct, frozen=True):
    """A bootstrap percentile interval."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether zero lies outside; a bound that is zero does not exclude it."""
        return self.low > 0 or self.high < 0

    def turned(self) -> Interval:
        """The interval of the negated quantity."""
        return Interval(0.0 - self.high, 0.0 - self.low)


def gains(reference_loss: Floats, loss: Floats) -> Floats:
    """Share of the reference's loss that is saved: ``(reference - loss) / reference``, elementwise.

    A reference without any loss cannot be improved on. There the gain is 0 for a loss of zero and -1 for any
    other: finite, so that it can be recorded, and still never better for a larger loss.
    For the same reason no gain is below -1e12, however small the reference's loss.
    """
    perfect = reference_loss == 0.0
    with np.errstate(over="ignore"):
        ratio = np.maximum((reference_loss - loss) / np.where(perfect, 1.0, reference_loss), LOWEST_GAIN)
    return np.asarray(np.where(perfect, np.where(loss == 0.0, 0.0, -1.0), ratio))


def checked(windows: Sequence[WindowLosses], reference: str) -> list[WindowLosses]:
    """The same windows with float64 arrays and the units of each in the order of their names.

    Raises
    ------
    InvalidInput
        What :func:`pipeline.evaluate.stability.scores` refuses about windows.
    """
    if len({window.ranks for window in windows}) > 1:
        raise InvalidInput("Some windows are judged by a loss and others by a ranking.")
    if not windows:
        raise InvalidInput("Without a complete window nothing can be compared.")
    if len({window.label for window in windows}) != len(windows):
        raise InvalidInput("Two windows have the same label.")
    names = list(windows[0].losses)
    if reference not in names:
        raise InvalidInput(f"The reference {reference!r} has no losses.")
    checked = []
    for window in windows:
        units, where = len(window.units), f"Window {window.label!r}"
        if units == 0 or len(set(window.units)) != units:
            raise InvalidInput(f"{where} has no resample units, or two of the same name.")
        if set(window.losses) != set(names):
            raise InvalidInput(f"{where} does not have the same candidates as the first.")
        # In a fixed order, so that a sum does not depend, in its last bit, on how the rows were grouped.
        order = np.array(sorted(range(units), key=window.units.__getitem__))
        arrays = {name: np.asarray(window.losses[name], dtype=np.float64) for name in names}
        rows = np.asarray(window.rows, dtype=np.float64)
        for name, values in (("rows", rows), *arrays.items()):
            signed = window.ranks and name != "rows"
            if values.shape != (units,) or not np.isfinite(values).all() or (not signed and (values < 0).any()):
                raise InvalidInput(f"{where}: {name} must be {units} numbers of zero or more, one a resample unit.")
        if rows.sum() == 0:
            raise InvalidInput(f"{where} has no test rows.")
        losses = {name: values[order] for name, values in arrays.items()}
        checked.append(WindowLosses(window.label, tuple(sorted(window.units)), rows[order], losses, window.ranks))
    return checked


def draw_gains(
    windows: Sequence[WindowLosses], names: Sequence[str], reference: str, seed: int, draws: int
) -> tuple[Indices, dict[str, Floats]]:
    """Draw windows, then units inside them; every candidate sees the same draws.

    Returns
    -------
    chosen : (draws, W), places among the windows sorted by label
    drawn : candidate -> (draws, W), its gain in each drawn window
    """
    ordered = sorted(windows, key=lambda window: window.label)
    count = len(ordered)
    chosen = _whole_numbers(_stream(seed, "windows"), draws * count, below=count).reshape(draws, count)
    drawn = {name: np.empty(draws * count) for name in names}
    for place, window in enumerate(ordered):
        slots = np.flatnonzero(chosen == place)
        stream, units = _stream(seed, "units", window.label), len(window.units)
        step = max(1, CELLS_AT_ONCE // units)
        for start in range(0, len(slots), step):
            part = slots[start : start + step]
            # Units stand in the first axis: numpy then adds row by row, in an order that no processor changes.
            picked = _whole_numbers(stream, len(part) * units, below=units).reshape(units, len(part))
            base = window.losses[reference][picked].sum(axis=0)
            rows = np.maximum(window.rows[picked].sum(axis=0), 1.0) if window.ranks else None
            for name in names:
                ours = window.losses[name][picked].sum(axis=0)
                drawn[name][part] = gains(base, ours) if rows is None else (base - ours) / rows
    return chosen, {name: values.reshape(draws, count) for name, values in drawn.items()}


def intervals(values: Floats, confidence: float) -> list[Interval]:
    """Percentile intervals along the last axis, one for each row."""
    ordered = np.sort(np.atleast_2d(values), axis=-1)
    tail, last = (1.0 - confidence) / 2.0, ordered.shape[-1] - 1
    bounds = []
    for position in (tail * last, (1.0 - tail) * last):
        below = min(math.floor(position), last)
        above = min(below + 1, last)
        bounds.append(ordered[:, below] + (ordered[:, above] - ordered[:, below]) * (position - below))
    return [Interval(low, high) for low, high in zip(*(bound.tolist() for bound in bounds), strict=True)]


def sign_flip_p(differences: Floats, seed: int) -> float:
    """Two-sided p of a mean difference over windows, if the sign of each window's difference were a coin toss.

    Parameters
    ----------
    differences : ndarray of shape (W,)
    seed : int
        Used beyond 16 windows only, where 20,000 random patterns and the observed one replace all 2^W patterns.

    References
    ----------
    Fisher, "The Design of Experiments" (1935), section 21; Phipson and Smyth (2010) for counting the observed one.

    Examples
    --------
    >>> sign_flip_p(np.array([0.1, 0.2, 0.3]), seed=0)
    0.25
    """
    return share_as_extreme(differences, sign_patterns(len(differences), seed))


def smallest_p(windows: int) -> float:
    """The smallest p that :func:`sign_flip_p` can give over so many windows.

    Two of the 2^W patterns have no dissenting window; beyond 16 windows the random patterns set the limit.
    """
    return min(1.0, 2.0 * 0.5**windows) if windows <= EXACT_SIGN_WINDOWS else 1.0 / (SIGN_PATTERNS + 1)


def sign_patterns(windows: int, seed: int) -> Floats:
    """Signs of each pattern, (P, W); the first row is the observed one."""
    if windows <= EXACT_SIGN_WINDOWS:
        # A pattern and its opposite have the same absolute mean, so half of them, with a fixed first sign, suffice.
        patterns = np.arange(2 ** (windows - 1))[:, None] >> np.arange(windows) & 1
    else:
        patterns = _whole_numbers(_stream(seed, "signs"), (SIGN_PATTERNS + 1) * windows, below=2).reshape(-1, windows)
        patterns[0] = 0
    return np.where(patterns == 0, 1.0, -1.0)


def share_as_extreme(differences: Floats, signs: Floats) -> float:
    """Share of patterns whose absolute sum is as large as the observed one."""
    # Rounding must not push patterns out of the tail that tie with the observed one.
    slack = 1e-12 * float(np.abs(differences).sum())
    return float((np.abs(signs @ differences) >= abs(float(differences.sum())) - slack).mean())


def _stream(seed: int, *purpose: str) -> np.random.PCG64:
    """Random bits that depend on the seed and on what they are for, and on nothing else."""
    return np.random.PCG64(np.random.SeedSequence([seed, *"\0".join(purpose).encode()]))


def _whole_numbers(stream: np.random.PCG64, size: int, *, below: int) -> Indices:
    """Whole numbers from 0 to ``below - 1``.

    From raw bits, because numpy keeps the bits of a bit generator for ever but not the methods of ``Generator``
    (NEP 19). Multiply and shift favours some numbers by less than ``below`` in 2^32, which no interval can show.
    """
    raw = np.asarray(stream.random_raw(size), dtype=np.uint64)
    return (((raw >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32)).astype(np.intp)
