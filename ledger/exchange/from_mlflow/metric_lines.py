"""Lines of numbers as MLflow appends them to a file for each metric: ``1700000000000 0.25 3``."""

from __future__ import annotations

import re
from typing import NamedTuple

from tallystick.ledger.exchange.from_mlflow.held import LARGEST_EXACT, Curve

_WHOLE = re.compile(r"^([0-9]{1,16}) ([-+.0-9a-zA-Z]{1,40}) (-?[0-9]{1,16})$", re.MULTILINE)
_VALUE = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?(inf|infinity)|nan", re.IGNORECASE)
_INTEGER = re.compile(r"-?[0-9]{1,16}")


class MeasuredPoint(NamedTuple):
    """One number with what its line says of it."""

    at_ms: int
    value: float
    step: int
    run: str | None = None
    dataset: str | None = None
    dataset_digest: str | None = None


class NumberLines(NamedTuple):
    """The numbers of one file, and its lines that are none."""

    points: list[MeasuredPoint]
    odd: list[int]
    """Numbers of the lines that could not be read, from 1."""


def read_lines(text: str, *, of_model: bool) -> NumberLines:
    """The numbers in a file of a run, or of a kept model, whose lines name the run as well."""
    points: list[MeasuredPoint] = []
    odd: list[int] = []
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        point = _point(line.strip(" \r\t").split(" "), of_model)
        if point is None:
            odd.append(number)
        else:
            points.append(point)
    return NumberLines(points, odd)


def _point(parts: list[str], of_model: bool) -> MeasuredPoint | None:
    """One line; None where it is malformed."""
    if len(parts) not in ((4, 6) if of_model else (2, 3, 5)):
        return None
    at_ms, value = _integer(parts[0]), parts[1]
    step = _integer(parts[2]) if len(parts) > 2 else 0
    if at_ms is None or step is None or _VALUE.fullmatch(value) is None:
        return None
    names = parts[3:]
    run = names.pop(0) if of_model else None
    dataset, digest = names or (None, None)
    return MeasuredPoint(at_ms, float(value), step, run, dataset, digest)


def _integer(text: str) -> int | None:
    number = int(text) if _INTEGER.fullmatch(text) else None
    return number if number is not None and abs(number) <= LARGEST_EXACT else None


def plain_curve(key: str, text: str) -> Curve | None:
    """The curve in a file of a run whose lines all have three parts, as nearly all have; None for any other.

    It says the same as :func:`read_lines` in a fifth of the time.
    """
    found = _WHOLE.findall(text)
    if len(found) != text.count("\n") or not text.endswith("\n"):
        return None
    times, values, steps = zip(*found, strict=True)
    try:
        at_ms, numbers, at_step = list(map(int, times)), list(map(float, values)), list(map(int, steps))
    except ValueError:
        return None
    if max(at_ms) > LARGEST_EXACT or max(map(abs, at_step)) > LARGEST_EXACT:
        return None
    return Curve(key=key, steps=at_step, at_ms=at_ms, values=numbers)


Measured = tuple[int, str, int]
"""What makes two numbers of one metric of a run the same: time, value, step."""
About = tuple[str | None, str | None, str | None]
"""Which model a number was measured of, on which table: its name and digest."""


def joined(key: str, of_run: list[MeasuredPoint], of_models: dict[str, list[MeasuredPoint]]) -> list[Curve]:
    """The numbers of a metric of a run, each with the model and the table that it was measured of.

    MLflow writes a number of a model twice: to the run, without the model's name and in a database without the table's,
    and to the model. A number that only the model has is one of the run as well.
    """
    if not of_models and not any(point.dataset for point in of_run):
        return [_curve(key, of_run, (None, None, None))] if of_run else []
    groups: dict[About, list[MeasuredPoint]] = {}
    wanted: dict[Measured, list[About]] = {}
    for model, points in of_models.items():
        for point in points:
            wanted.setdefault(_measured(point), []).append((model, point.dataset, point.dataset_digest))
    for point in of_run:
        of_run_alone = (None, point.dataset, point.dataset_digest)
        candidates = wanted.get(_measured(point), [])
        about = next((one for one in candidates if point.dataset is None or one[1:] == of_run_alone[1:]), None)
        if about is not None:
            candidates.remove(about)
        groups.setdefault(about or of_run_alone, []).append(point)
    for model, points in of_models.items():
        for point in points:
            about = (model, point.dataset, point.dataset_digest)
            left = wanted[_measured(point)]
            if about in left:
                left.remove(about)
                groups.setdefault(about, []).append(point)
    return [_curve(key, points, about) for about, points in groups.items()]


def _measured(point: MeasuredPoint) -> Measured:
    return point.at_ms, repr(point.value), point.step


def _curve(key: str, points: list[MeasuredPoint], about: About) -> Curve:
    model, dataset, digest = about
    return Curve(
        key=key,
        steps=[point.step for point in points],
        at_ms=[point.at_ms for point in points],
        values=[point.value for point in points],
        model=model,
        dataset=dataset,
        dataset_digest=digest,
    )
