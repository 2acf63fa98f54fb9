"""What differs between two pipeline files, by meaning: order, spelling and comments do not count.

Every change belongs to a class. Another *question* (what is predicted, for which rows, when) makes results
incomparable; other *evidence* (data, windows, how is judged) asks for a new evaluation; *candidates* for theirs alone;
another *policy* (gates, validity, automation, monitoring) for a new decision; *words* explain and change nothing.
Where a threshold has a strict and a lax side the change says which way it went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.durations import parse_span

Class = Literal["question", "evidence", "candidates", "policy", "words"]
Strictness = Literal["loosened", "tightened"]
Path = tuple[str, ...]

CLASSES: dict[str, Class] = {
    "name": "question",
    "questions": "question",
    "data": "evidence",
    "time": "evidence",
    "candidates": "candidates",
    "selection": "evidence",
    "gates": "policy",
    "validity": "policy",
    "automation": "policy",
    "monitoring": "policy",
    "waivers": "policy",
    "leakage": "policy",
}
QUESTION = (("data", "target"), ("data", "key"), ("data", "drop_rows"))
WORDS = ("why", "owner")


class ConfigChange(NamedTuple):
    """A setting that is new, gone, or says something else."""

    path: Path
    group: Class
    old: Any
    new: Any
    added: bool
    removed: bool
    strictness: Strictness | None

    @property
    def name(self) -> str:
        """``gates.optimism_gap.at_most``."""
        return ".".join(self.path)


def config_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[ConfigChange]:
    """Every setting that differs between two configurations in plain values, classes in the order above."""
    changes = [_change(path, a, b) for path, a, b in _differing((), old, new)]
    order = ("question", "evidence", "candidates", "policy", "words")
    return sorted(changes, key=lambda change: (order.index(change.group), change.path))


class _Absent:
    """No value, which is not the same as null."""


ABSENT = _Absent()


def _differing(path: Path, old: Any, new: Any) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differing((*path, str(key)), old.get(key, ABSENT), new.get(key, ABSENT))
    elif type(old) is not type(new) or old != new:
        yield path, old, new


def _change(path: Path, old: Any, new: Any) -> ConfigChange:
    # A gate that is null is a gate that is not asked for.
    gate = len(path) >= 2 and path[0] == "gates" and path[1] not in WORDS
    added = old is ABSENT or (gate and old is None)
    removed = new is ABSENT or (gate and new is None)
    old, new = (None if value is ABSENT else value for value in (old, new))
    # A parameter may bear any name.
    words = path[-1] in WORDS and "params" not in path
    asked = path[:2] in QUESTION
    group: Class = "words" if words else "question" if asked else CLASSES.get(path[0], "words")
    if gate and (added or removed) and len(path) == 2:
        strictness: Strictness | None = "loosened" if removed else "tightened"
    else:
        strictness = _strictness(path, old, new) if not (added or removed) else None
    return ConfigChange(path, group, old, new, added, removed, strictness)


def _number(value: Any) -> float:
    return float(value)


def _share(value: Any) -> float:
    """``every window`` or ``N of M windows``, as a share."""
    if value == "every window":
        return 1.0
    first, _, rest = str(value).partition(" of ")
    return float(first) / float(rest.split()[0])


def _length(value: Any) -> float:
    span = parse_span(str(value))
    return float(span.micros or span.months * 30 * 86_400_000_000)


def _multiple(value: Any) -> float:
    return float(str(value).split()[0])


def _place(*ordered: str) -> Callable[[Any], float]:
    return lambda value: float(ordered.index(str(value)))


STRICTER_WHEN_LARGER: dict[Path, Callable[[Any], float]] = {
    ("gates", "beats_reference_in", "at_least"): _share,
    ("gates", "worst_window_gain", "at_least"): _number,
    ("gates", "approved_by", "at_least"): _number,
    ("gates", "reproduced", "must"): _place("equal within tolerance", "identical predictions"),
    ("time", "min_rows"): _number,
    ("time", "gap"): _length,
    ("time", "label_delay"): _length,
    ("selection", "confidence"): _number,
    ("validity", "outside"): _place("warn", "refuse"),
    ("automation", "unlock", "stable_windows"): _number,
    ("automation", "unlock", "approved_by"): _number,
    ("monitoring", "min_rows"): _number,
}
STRICTER_WHEN_SMALLER: dict[Path, Callable[[Any], float]] = {
    ("gates", "optimism_gap", "at_most"): _number,
    ("gates", "calibration_in_large", "at_most"): _number,
    ("gates", "reproduced", "tolerance"): _number,
    ("gates", "final_test", "drop_at_most"): _multiple,
    ("time", "final", "looks"): _number,
    ("validity", "valid_for"): _length,
    ("waivers", "longest"): _length,
    ("automation", "level"): _place("manual", "suggest", "auto_refit"),
    ("monitoring", "every"): _length,
}


def _strictness(path: Path, old: Any, new: Any) -> Strictness | None:
    if path in (("automation", "relock_on"), ("automation", "unlock", "without")):
        before, after = set(old or ()), set(new or ())
        return "tightened" if before < after else "loosened" if after < before else None
    for table, larger in ((STRICTER_WHEN_LARGER, "tightened"), (STRICTER_WHEN_SMALLER, "loosened")):
        if path in table:
            try:
                before_number, after_number = table[path](old), table[path](new)
            except (ValueError, IndexError, InvalidInput):
                return None  # written in a way that has no order
            if before_number == after_number:
                return None
            went_up = after_number > before_number
            return larger if went_up else ("loosened" if larger == "tightened" else "tightened")  # type: ignore[return-value]
    return None
