"""CSV files as people have them: separator, encoding and numbers as they are written.

Every cell is read as text first, of all files of a source together, and each column is then one of: whole numbers,
numbers, yes and no, or text. Text stays text where a number would change it: ``01067``, ``1`` beside ``01``, and whole
numbers beyond 2**53. What is written in one possible way is read right (``1,234.50``; a decimal comma in a file whose
separator is another sign); what can be read in two ways is refused with the column, examples and the line to write.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from tallystick.ledger.errors import InvalidInput
from tallystick.pipeline.config.settings import Csv
from tallystick.pipeline.data.reading import Reading

LARGEST_EXACT = 2**53
"""Beyond it float64 merges whole numbers."""
EXACT_DIGITS = 15
"""Two decimals of so many digits are never one float64."""
MOST_ODD_WORDS = 5
"""So many different words among numbers look like signs for a missing value; more look like codes."""
MOST_UNITS = 2
EXAMPLES = 3

_SEPARATORS = (",", ";", "\t", "|")
_MISSING = ("NA", "N/A", "n/a", "#N/A", "#NA", "#N/A N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "1.#QNAN",
            "-1.#QNAN", "1.#IND", "-1.#IND")  # fmt: skip
"""Words that mean a missing value in a column whose other values are numbers, or yes and no."""
_YES, _NO = ("true", "True", "TRUE"), ("false", "False", "FALSE")

_WHOLE = r"^-?(0|[1-9][0-9]*)$"
_NUMBER = r"^[+-]?(((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf(inity)?))$"
_LEADING_ZERO = r"^[+-]?0[0-9]+(\.[0-9]*)?$"
_DECIMAL_COMMA = r"^[+-]?(0|[1-9][0-9]*),[0-9]+$"
_COMMA_GROUPS = r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]+)?$"
_POINT_GROUPS = r"^[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+(,[0-9]+)?$"
_QUOTE_GROUPS = r"^[+-]?[1-9][0-9]{0,2}('[0-9]{3})+(\.[0-9]+)?$"
_CERTAIN = (
    # decimal sign, sign between thousands, what every value looks like, what one value must show
    (".", ",", f"{_COMMA_GROUPS}|{_NUMBER}", r",.*\."),
    (",", ".", f"{_POINT_GROUPS}|{_DECIMAL_COMMA}|{_WHOLE}", r"\..*,"),
    (".", "'", f"{_QUOTE_GROUPS}|{_NUMBER}", "'"),
)
"""Numbers with signs between thousands that can be read in one way only."""
_SIGN = r"[^\s\w.,'+;:/()-]{1,3}"
_WITH_UNIT = (
    rf"^(?:({_SIGN}|[A-Z]{{3}}\s)\s*[+-]?[0-9][0-9.,']*|[+-]?[0-9][0-9.,']*(?:\s*({_SIGN})|\s+([A-Za-z]{{1,4}})))$"
)
"""A number with a sign before or after it, or with a short word that a blank divides from it."""


class CsvShape(NamedTuple):
    """How a file is written, before any of its values is read."""

    encoding: str
    separator: str
    names: tuple[str, ...]
    """Column names without blanks around them."""
    raw_names: tuple[str, ...]


class CsvDoubt(InvalidInput):
    """A file that can be read in more than one way; ``settings`` are lines for ``[data.csv]`` that settle it."""

    def __init__(self, message: str, hint: str, settings: dict[str, str | list[str]]) -> None:
        super().__init__(message, hint)
        self.settings = settings


class _Doubt(NamedTuple):
    """A column that can be read in two ways."""

    words: str
    settings: dict[str, str | list[str]]
    """What to write into ``[data.csv]``."""


# The file -----------------------------------------------------------------------------------------------------


def csv_shape(path: Path, declared: Csv) -> CsvShape:
    """Encoding, separator and column names of a file.

    Raises
    ------
    InvalidInput
        For an empty file, and where separator or encoding can be taken in two ways.
    """
    with path.open("rb") as file:
        begin = file.read(1 << 16)
    if not begin.strip():
        raise InvalidInput(f"{path} cannot be read as CSV: Empty CSV file.")
    encoding = declared.encoding or _encoding_of_mark(begin)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(begin)
    except LookupError:
        raise InvalidInput(f"There is no encoding {encoding!r}.", 'Examples: "utf-8", "cp1252", "latin-1".') from None
    except UnicodeDecodeError as error:
        raise not_this_encoding(path, encoding) from error
    text = text.lstrip("\ufeff")
    separator = declared.separator or _separator(path, text)
    header = _cut(path, io.StringIO(text, newline=""), separator, 1)[0]
    return CsvShape(encoding, separator, tuple(name.strip() for name in header), tuple(header))


def _encoding_of_mark(begin: bytes) -> str:
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return "utf-8"


def not_this_encoding(path: Path, encoding: str) -> CsvDoubt:
    """The error for a file in another encoding: the first odd lines as another would read them."""
    odd = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line.decode(encoding)
        except UnicodeDecodeError:
            odd.append(f"line {number:,}: {line.decode('cp1252', 'replace').strip()[:60]!r}")
        if len(odd) == EXAMPLES:
            break
    settings: dict[str, str | list[str]] = {"encoding": "cp1252"}
    return CsvDoubt(
        f"{path} is not {encoding} text. Read as cp1252, its odd lines are {'; '.join(odd) or 'none'}.",
        f"If that looks right, say so in the pipeline file:\n{csv_table(settings)}",
        settings,
    )


def _separator(path: Path, text: str) -> str:
    """The sign between the columns: the one that cuts header and rows into equally many."""
    head = text.split("\n", 1)[0]
    present = [sign for sign in _SEPARATORS if len(_cut(path, [head], sign)[0]) > 1]
    if len(present) <= 1:
        return present[0] if present else ","
    lines = text.splitlines()[:200]
    lines = lines[:-1] if len(lines) > 2 else lines
    even = [sign for sign in present if len({len(row) for row in _cut(path, lines, sign) if row}) == 1]
    if len(even) == 1:
        return even[0]
    shown = " or ".join(map(repr, even or present))
    settings: dict[str, str | list[str]] = {"separator": (even or present)[0]}
    raise CsvDoubt(
        f"{path}: the header {head.strip()[:80]!r} may be cut at {shown}.",
        f"Say which one in the pipeline file:\n{csv_table(settings)}",
        settings,
    )


def _cut(path: Path, lines: Iterable[str], separator: str, most: int | None = None) -> list[list[str]]:
    """The first ``most`` rows, or all, each as its cells; one empty row where there is none."""
    try:
        return list(itertools.islice(csv.reader(lines, delimiter=separator), most)) or [[]]
    except csv.Error as error:
        raise InvalidInput(f"{path} cannot be read as CSV: {error}.") from error


def read_cells(path: Path, shape: CsvShape, columns: Sequence[str] | None) -> pa.Table:
    """Some columns of a file, every cell as the text that it is; an empty cell is the empty text."""
    raw = dict(zip(shape.names, shape.raw_names, strict=True))
    wanted = list(columns) if columns is not None else list(shape.names)
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(encoding=shape.encoding),
        parse_options=pyarrow.csv.ParseOptions(delimiter=shape.separator, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            include_columns=[raw[name] for name in wanted],
            column_types=dict.fromkeys(shape.raw_names, pa.string()),
            strings_can_be_null=False,
        ),
    )
    return table.rename_columns(wanted)


# The columns --------------------------------------------------------------------------------------------------


def typed(cells: pa.Table, where: str, separator: str, how: Reading) -> pa.Table:
    """Cells as numbers, yes and no, or text; each column by all of its values.

    Parameters
    ----------
    where : str
        The source, as errors name it.
    separator : str
        The sign between the columns: a comma inside a number then means something else.
    how : Reading
        What the file declares, and which columns are text, exact or read leniently.

    Raises
    ------
    InvalidInput
        With every column that can be read in two ways.
    """
    declared = how.csv
    as_text = how.text | frozenset(declared.text)
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    doubts: list[_Doubt] = []
    for name in cells.column_names:
        found = _column(name, cells[name], declared, separator, name in as_text, name in how.exact)
        if name in how.truth and name not in declared.text and not isinstance(found, _Doubt):
            columns[name] = _spelt_as_truth(found)
        elif isinstance(found, _Doubt) and name in how.lenient:
            columns[name] = _as_it_stands(cells[name])
        elif isinstance(found, _Doubt):
            doubts.append(found)
        else:
            columns[name] = found
    if doubts:
        words = "\n".join(doubt.words for doubt in doubts)
        settings = _merged(doubts)
        raise CsvDoubt(
            f"{where}: {words}", f"Say how it is written, in the pipeline file:\n{csv_table(settings)}", settings
        )
    return pa.table(columns)


def _spelt_as_truth(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Yes and no in the words that training knew them by; other values, which it never saw, stay as they are."""
    trimmed = pc.utf8_trim_whitespace(cells)
    missing = pc.is_in(trimmed, pa.array(["", *_MISSING]))
    other = pc.if_else(missing, pa.scalar(None, pa.string()), cells)
    other = pc.if_else(pc.is_in(trimmed, pa.array(_NO)), pa.scalar("false"), other)
    return pc.if_else(pc.is_in(trimmed, pa.array(_YES)), pa.scalar("true"), other)


def _as_it_stands(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.equal(cells, ""), pa.scalar(None, pa.string()), cells)


def _merged(doubts: Sequence[_Doubt]) -> dict[str, str | list[str]]:
    """The settings that settle all doubts."""
    merged: dict[str, str | list[str]] = {}
    for doubt in doubts:
        for name, value in doubt.settings.items():
            before = merged.get(name)
            if isinstance(value, list) and isinstance(before, list):
                merged[name] = [*before, *(item for item in value if item not in before)]
            else:
                merged[name] = value
    return merged


def csv_table(settings: dict[str, str | list[str]]) -> str:
    """``[data.csv]`` as a pipeline file writes it."""
    written = (
        f"{name} = [{', '.join(map(_toml, value))}]" if isinstance(value, list) else f"{name} = {_toml(value)}"
        for name, value in settings.items()
    )
    return "\n".join(["[data.csv]", *written])


def _column(
    name: str, cells: pa.ChunkedArray, declared: Csv, separator: str, as_text: bool, exact: bool
) -> pa.ChunkedArray | _Doubt:
    nothing = pa.scalar(None, pa.string())
    missing = pc.equal(cells, "")
    if declared.missing:
        missing = pc.or_(missing, pc.is_in(pc.utf8_trim_whitespace(cells), pa.array(declared.missing, pa.string())))
    values = pc.if_else(missing, nothing, cells)
    if as_text:
        return values
    if values.null_count == len(values):
        return pa.chunked_array([pa.nulls(len(values))])
    trimmed = pc.utf8_trim_whitespace(values)
    trimmed = pc.if_else(pc.is_in(trimmed, pa.array(["", *_MISSING])), nothing, trimmed)
    plain = _declared_numbers(trimmed, declared)
    given = len(plain) - plain.null_count
    if given == 0:
        # Nothing but NA: a country's code as likely as a missing number.
        return values
    if _count(plain, _NUMBER) == given:
        numbers = _numbers(plain, exact)
        return values if numbers is None else numbers
    if _all(pc.is_in(plain, pa.array([*_YES, *_NO])), given):
        return pc.if_else(pc.is_null(plain), pa.scalar(None, pa.bool_()), pc.is_in(plain, pa.array(_YES)))
    return _otherwise(name, values, plain, declared, separator, given)


def _declared_numbers(trimmed: pa.ChunkedArray, declared: Csv) -> pa.ChunkedArray:
    """Numbers in the file's own signs as plain ones; what is no such number stays as it stands."""
    decimal, thousands = declared.decimal, declared.thousands
    if decimal is None and thousands is None and not declared.units:
        return trimmed
    bare = trimmed
    for unit in declared.units:
        bare = pc.replace_substring_regex(bare, rf"^\s*{re.escape(unit)}\s*|\s*{re.escape(unit)}\s*$", "")
    sign = re.escape(decimal or ".")
    whole = r"(0|[1-9][0-9]*)"
    if thousands is not None:
        whole = rf"(0|[1-9][0-9]*|[1-9][0-9]{{0,2}}({re.escape(thousands)}[0-9]{{3}})+)"
    fits = pc.match_substring_regex(bare, rf"^[+-]?{whole}({sign}[0-9]+)?([eE][+-]?[0-9]+)?$")
    changed = bare if thousands is None else pc.replace_substring(bare, thousands, "")
    changed = changed if decimal in (None, ".") else pc.replace_substring(changed, ",", ".")
    return pc.if_else(fits, changed, trimmed)


def _numbers(plain: pa.ChunkedArray, exact: bool) -> pa.ChunkedArray | None:
    """Plain numbers as int64 or float64; None where that would merge two of them."""
    given = len(plain) - plain.null_count
    if _count(plain, _WHOLE) == given:
        if _all(pc.less_equal(pc.utf8_length(plain), 17), given):
            whole = plain.cast(pa.int64())
            bounds = pc.min_max(whole).as_py()
            if max(-bounds["min"], bounds["max"]) <= LARGEST_EXACT:
                return whole
        return None
    if exact:
        digits = pc.replace_substring_regex(plain, r"[eE].*$|[^0-9]", "")
        if not _all(pc.less_equal(pc.utf8_length(digits), EXACT_DIGITS), given):
            return None
    return _floats(plain)


def _otherwise(
    name: str, values: pa.ChunkedArray, plain: pa.ChunkedArray, declared: Csv, separator: str, given: int
) -> pa.ChunkedArray | _Doubt:
    """A column that is not all plain numbers: read right where only one reading is possible, text, or a doubt."""
    numeric = _count(plain, _NUMBER)
    zeros = _count(plain, _LEADING_ZERO)
    if zeros and numeric + zeros == given:
        return values
    if declared.decimal is None and declared.thousands is None:
        found = _in_other_signs(name, plain, separator, given)
        if found is not None:
            return found
    if (doubt := _with_units(name, plain, given)) is not None:
        return doubt
    words = pc.unique(pc.filter(plain, pc.invert(pc.match_substring_regex(plain, _NUMBER)))).drop_null()
    # Words with digits in them are codes.
    if zeros or 2 * numeric < given or len(words) > MOST_ODD_WORDS or _count(words, "[0-9]"):
        return values
    shown = [str(word) for word in words.to_pylist()]
    return _Doubt(
        f"{name} holds {numeric:,} numbers, and {given - numeric:,} times {' or '.join(map(repr, shown))}. If these "
        f"are codes and no numbers, write text = [{_toml(name)}] instead.",
        {"missing": shown},
    )


def _in_other_signs(name: str, plain: pa.ChunkedArray, separator: str, given: int) -> pa.ChunkedArray | _Doubt | None:
    """Numbers with a decimal comma, or with signs between thousands; None where the column holds others, too."""
    for decimal, thousands, pattern, proof in _CERTAIN:
        if _count(plain, pattern) == given and _count(plain, proof):
            return _as_written(plain, decimal, thousands)
    if not _count(plain, ","):
        return None
    commas = _count(plain, _DECIMAL_COMMA)
    if commas and commas + _count(plain, _WHOLE) == given:
        if separator != "," and _count(plain, _COMMA_GROUPS) < commas:
            return _as_written(plain, ",", None)
        return _Doubt(f"{name} holds numbers with a comma, such as {_examples(plain, ',')}.", {"decimal": ","})
    if _count(plain, f"{_COMMA_GROUPS}|{_NUMBER}") == given:
        return _Doubt(f"{name} holds numbers with commas, such as {_examples(plain, ',')}.", {"thousands": ","})
    return None


def _as_written(plain: pa.ChunkedArray, decimal: str, thousands: str | None) -> pa.ChunkedArray:
    changed = plain if thousands is None else pc.replace_substring(plain, thousands, "")
    return _floats(changed if decimal == "." else pc.replace_substring(changed, decimal, "."))


def _with_units(name: str, plain: pa.ChunkedArray, given: int) -> _Doubt | None:
    """A doubt about numbers that come with a currency, a per cent sign or the like."""
    if _count(plain, _WITH_UNIT) < given:
        return None
    texts = [str(text) for text in pc.unique(plain).drop_null().to_pylist()]
    matches = [match for text in texts if (match := re.match(_WITH_UNIT, text))]
    units = {unit.strip() for match in matches for unit in match.groups() if unit}
    if len(units) > MOST_UNITS:
        return None
    settings: dict[str, str | list[str]] = {"units": sorted(units)}
    if any(re.search(r"[0-9],[0-9]{1,2}([^0-9]|$)", text) for text in texts):
        settings["decimal"] = ","
    return _Doubt(f"{name} holds numbers with a unit, such as {_examples(plain, '')}.", settings)


def _floats(plain: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.replace_substring_regex(plain, r"^\+", "").cast(pa.float64())


def _examples(plain: pa.ChunkedArray, sign: str) -> str:
    some = pc.unique(pc.filter(plain, pc.match_substring(plain, sign))).slice(0, EXAMPLES)
    return ", ".join(repr(text) for text in some.to_pylist())


def _count(values: pa.ChunkedArray | pa.Array, pattern: str) -> int:
    return int(pc.sum(pc.match_substring_regex(values, pattern)).as_py() or 0)


def _all(found: pa.ChunkedArray, given: int) -> bool:
    return int(pc.sum(found).as_py() or 0) == given


def _toml(text: str) -> str:
    """A text as a pipeline file writes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '"'
