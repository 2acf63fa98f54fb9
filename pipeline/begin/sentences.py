"""What is seen in a table, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator

from tallystick.ledger.events.sentences import count
from tallystick.pipeline.begin.look import NEARLY_EMPTY, ColumnFacts, TableFacts, time_columns


def about_table(facts: TableFacts) -> Iterator[str]:
    """Rows, kinds, gaps, duplicates, columns without content, and the columns that could be time."""
    yield f"{facts.source}: {count(facts.rows, 'row')}, {count(len(facts.columns), 'column')}."
    by_kind: dict[str, list[str]] = {}
    for column in facts.columns:
        by_kind.setdefault(column.kind, []).append(column.name)
    for kind, names in by_kind.items():
        yield f"{KINDS[kind]}: {', '.join(names)}."
    if facts.duplicates:
        yield f"{count(facts.duplicates, 'row')} repeat another row in every column."
    gaps = [column for column in facts.columns if 0 < column.missing < facts.rows]
    if gaps:
        yield f"Missing values: {', '.join(f'{c.name} {_share(c, facts)}' for c in gaps)}."
    names, others = _of_no_use(facts)
    if others:
        yield f"Not proposed as features: {'; '.join(others)}."
    if names:
        yield f"Names of rows, not proposed as features: {', '.join(names)}."
    times = time_columns(facts)
    if times:
        also = f"; also possible: {', '.join(column.name for column in times[1:])}" if times[1:] else ""
        yield f"{times[0].name} looks like the time of a row{also}."
    else:
        yield "No column looks like the time of a row: none holds a date or time in every row."


KINDS = {
    "number": "Numbers",
    "whole number": "Whole numbers",
    "yes or no": "Yes or no",
    "text": "Text",
    "time": "Dates or times",
    "empty": "Without any value",
    "other": "Neither number, text nor time",
}


def _of_no_use(facts: TableFacts) -> tuple[list[str], list[str]]:
    """Columns that name rows, with how many values they have; and others of no use, with the reason."""
    names, others = [], []
    for column in facts.columns:
        if (words := useless(column, facts)) is None:
            continue
        if column.levels > 1 and column.missing < NEARLY_EMPTY * facts.rows:
            names.append(f"{column.name} ({column.levels:,} values)")
        else:
            others.append(f"{column.name} {words}")
    return names, others


def useless(column: ColumnFacts, facts: TableFacts) -> str | None:
    """Why a column has nothing that a model could learn from; None where it may have."""
    if column.kind == "empty":
        return "is empty"
    if column.levels == 1 and not column.missing:
        return f"is always {column.examples[0]}"
    if column.missing >= NEARLY_EMPTY * facts.rows:
        return f"is missing in {_share(column, facts)} of the rows"
    if column.kind == "text" and column.levels > max(50, facts.rows // 5):
        return f"has {column.levels:,} different values, so it names rows instead of describing them"
    return None


def _share(column: ColumnFacts, facts: TableFacts) -> str:
    share = column.missing / facts.rows
    return f"{share:.0%}" if share >= 0.01 else "under 1%"
