"""Reading a pipeline file: every mistake at once, each with its line and the next step in words.

The walk over the structs collects mistakes; the strict conversion afterwards is the final authority, so nothing
that the walk overlooks gets in.
"""

from __future__ import annotations

import codecs
import difflib
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterator
from functools import cache
from pathlib import Path as FilePath
from typing import Any, Literal

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events.event import encode_canonical
from tallystick.pipeline.config.left_out import complete
from tallystick.pipeline.config.proposed import wrong_names
from tallystick.pipeline.config.settings import (
    Candidate,
    Data,
    Feature,
    Features,
    Forbidden,
    Gates,
    Join,
    Pipeline,
    SelectionRule,
    Time,
)
from tallystick.pipeline.config.toml_lines import Path, find_lines, line_of, overlong_key
from tallystick.pipeline.config.validate import notes_about, wrong_together

LARGEST_FILE_BYTES = 1 << 20


class Mistake(msgspec.Struct, frozen=True, order=True):
    """One thing to mend in a pipeline file."""

    line: int
    path: str
    words: str


class ConfigurationError(InvalidInput):
    """A pipeline file that cannot be used; ``mistakes`` has all of them."""

    code = "configuration"

    def __init__(self, name: str, mistakes: list[Mistake]) -> None:
        self.mistakes = sorted(set(mistakes))
        lines = [f"{name}:{mistake.line}: {mistake.words}" for mistake in self.mistakes]
        super().__init__("\n".join(lines), f"Nothing was run or recorded. `tally check {name}` reads it again.")


class LoadedPipeline(msgspec.Struct, frozen=True):
    """A pipeline file that has been read and found sound."""

    path: FilePath
    text: str
    text_hash: str
    """BLAKE3 of the file's bytes, without a byte order mark."""
    settings: Pipeline
    meaning: dict[str, Any]
    """Every setting that can change a result, defaults included, without prose."""
    meaning_hash: str
    defaulted: list[str]
    """Settings that the file leaves to their defaults."""
    notes: list[str]
    """Remarks that are not mistakes."""


def read(path: FilePath) -> LoadedPipeline:
    """Read a pipeline file.

    Raises
    ------
    ConfigurationError
        With every mistake at once.
    InvalidInput
        Where there is no such file or it cannot be read.
    """
    return parse(_bytes(path), path)


def parse(data: bytes, path: FilePath) -> LoadedPipeline:
    """Read the content of a pipeline file, from wherever it was kept; ``path`` is what it is called in errors.

    Raises
    ------
    ConfigurationError
        With every mistake at once.
    """
    # Some editors begin a file with a mark of its encoding, which is no part of what it says.
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode()
        if (line := overlong_key(text)) is not None:
            raise ConfigurationError(path.name, [Mistake(line, "", "This key has too many parts.")])
        raw = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(path.name, [Mistake(line, "", "This line is not UTF-8 text.")]) from None
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else text.count("\n") + 1
        words = f"This is not TOML: {str(error).partition(' (at ')[0]}."
        raise ConfigurationError(path.name, [Mistake(line, "", words)]) from None
    except ValueError:
        # Not a mistake of syntax to the parser: Python refuses to read integers of more than 4,300 digits.
        long = next((run.start() for run in re.finditer(r"[0-9_]+", text) if run.end() - run.start() >= 4300), 0)
        line = text.count("\n", 0, long) + 1
        raise ConfigurationError(path.name, [Mistake(line, "", "This number has too many digits.")]) from None
    except RecursionError:
        raise ConfigurationError(path.name, [Mistake(1, "", "The file is nested too deeply.")]) from None
    lines = find_lines(text)
    raw, left_out = complete(raw)
    walk = _Walk(lines)
    walk.table(Pipeline, raw, ())
    for where, words in wrong_names(raw):
        walk.wrong(where, words)
    keys = {name: key for key in _feature_lines(raw) for name in _names(key)}
    for where, words in wrong_together(*_sound_sections(raw)):
        walk.mistakes.append(Mistake(line_of(_written(where, keys), lines), _dotted(where), words))
    if walk.mistakes:
        raise ConfigurationError(path.name, walk.mistakes)
    try:
        settings = msgspec.convert(_split_features(raw), Pipeline, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigurationError(path.name, [Mistake(1, "", f"{error}.")]) from None
    meaning = meaning_of(settings)
    return LoadedPipeline(
        path=path,
        text=text,
        text_hash=blake3(data).hexdigest(),
        settings=settings,
        meaning=meaning,
        meaning_hash=blake3(encode_canonical(meaning)).hexdigest(),
        defaulted=sorted({name for name in {*walk.defaulted, *left_out} - UNSAID if not _is_other_way(name)}),
        notes=notes_about(settings),
    )


def _bytes(path: FilePath) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except FileNotFoundError:
        try:
            others = sorted(item.name for item in path.parent.glob("*.toml"))
        except OSError:
            others = []
        near = difflib.get_close_matches(path.name, others, n=1)
        hint = f"Did you mean {path.with_name(near[0])}?" if near else ""
        if others and not near:
            hint = f"That folder has: {', '.join(others[:5])}."
        raise InvalidInput(f"There is no file {path}.", hint) from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST_FILE_BYTES:
        raise InvalidInput(f"{path} is larger than a pipeline file can be ({LARGEST_FILE_BYTES:,} bytes).")
    return data


# The walk --------------------------------------------------------------------------------------------------


class _Walk:
    """Collects mistakes and defaults while it follows a file along the structs."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self.lines = lines
        self.mistakes: list[Mistake] = []
        self.defaulted: list[str] = []

    def wrong(self, path: Path, words: str) -> None:
        self.mistakes.append(Mistake(line_of(path, self.lines), _dotted(path), words))

    def table(self, kind: type[msgspec.Struct], raw: object, path: Path) -> None:
        """A table against a struct: unknown, missing and unfit settings."""
        if not isinstance(raw, dict):
            self.wrong(path, f"{_dotted(path)} = {_shown(raw)}: this is a table of settings, as in {{ … }}.")
            return
        if kind is Features:
            self.features(raw, path)
            return
        fields = _fields(kind)
        for name in raw:
            if name not in fields:
                near = difflib.get_close_matches(name, fields, n=1)
                meant = f" Did you mean {near[0]}?" if near else f" It knows {', '.join(fields)}."
                self.wrong((*path, name), f"{name} is not a setting of {_title(path)}.{meant}")
        for name, field in fields.items():
            if name in raw:
                self.value(field.type, raw[name], (*path, name))
            elif field.required:
                self.missing(name, path, raw, fields)
            else:
                self.defaulted.append(_dotted((*path, name)))

    def missing(self, name: str, path: Path, raw: dict[str, Any], fields: dict[str, Any]) -> None:
        """A setting that must be said; silent where a misspelling of it has been reported already."""
        unknown = [other for other in raw if other not in fields]
        if any(name in difflib.get_close_matches(other, fields, n=1) for other in unknown):
            return
        if name == "why":
            self.wrong(path, f"{_title(path)} must say why. In a year nobody will remember the reason.")
            return
        words = "We never guess this one: it changes what the result means."
        kind = fields[name].type
        if _is_struct(kind) and kind is not Features:
            needed = ", ".join(inner for inner, field in _fields(kind).items() if field.required)
            words = f"Write [{_dotted((*path, name))}] with {needed}."
        self.wrong(path, f"{_title(path)} must say {name}. {words}")

    def features(self, raw: dict[str, Any], path: Path) -> None:
        seen: dict[str, str] = {}
        for key, value in raw.items():
            if key == "forbidden":
                self.table(Forbidden, value, (*path, key))
                continue
            self.table(Feature, value, (*path, key))
            for name in _names(key):
                if not name:
                    self.wrong((*path, key), f"{_shown(key)}: a feature's name is missing between two commas.")
                elif name in seen:
                    self.wrong((*path, key), f"The feature {name} is listed twice.")
                seen[name] = key
        if not seen:
            self.wrong(path, "[data.features] names no feature.")

    def value(self, kind: Any, raw: object, path: Path) -> None:
        """One value against its type, looking into tables and lists of tables."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            structs = [part for part in arguments if _is_struct(part)]
            if structs and isinstance(raw, dict):
                self.table(structs[0], raw, path)
                return
        elif _is_struct(kind):
            self.table(kind, raw, path)
            return
        elif origin is dict and _is_struct(arguments[1]) and isinstance(raw, dict):
            for name, item in raw.items():
                self.table(arguments[1], item, (*path, name))
            return
        elif origin is list and _is_struct(arguments[0]) and isinstance(raw, list):
            for index, item in enumerate(raw):
                self.table(arguments[0], item, (*path, index))
            return
        unfit = list(_unfit_numbers(raw, path))
        for where, number in unfit:
            words = "numbers are finite, and whole numbers have at most 64 bits."
            self.wrong(where, f"{_dotted(where)} = {_shown(number)}: {words}")
        if unfit:
            return
        try:
            msgspec.convert(raw, kind, strict=True)
        except msgspec.ValidationError as error:
            words = str(error).partition(" - at `")[0].replace("`", "")
            allowed = _allowed(kind)
            if allowed:
                near = difflib.get_close_matches(_shown(raw), [_shown(value) for value in allowed], n=1)
                words = f"it is one of {', '.join(map(_shown, allowed))}"
                words += f". Did you mean {near[0]}?" if near else "."
            self.wrong(path, f"{_dotted(path)} = {_shown(raw)}: {words}")


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, msgspec.structs.FieldInfo]:
    """The settings of a table by the name that files give them; msgspec evaluates every type hint anew each time."""
    return {field.encode_name: field for field in msgspec.structs.fields(kind)}


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _allowed(kind: Any) -> list[str | int]:
    """The values that a type allows, looking through unions and lists."""
    if typing.get_origin(kind) is Literal:
        return list(typing.get_args(kind))
    return [value for part in typing.get_args(kind) for value in _allowed(part)]


def _unfit_numbers(raw: object, path: Path) -> Iterator[tuple[Path, object]]:
    """Numbers that no record can hold: JSON has no nan and no infinity, and other readers no longer integers."""
    if isinstance(raw, dict):
        for name, item in raw.items():
            yield from _unfit_number(item, (*path, name))
    elif isinstance(raw, list):
        for index, item in enumerate(raw):
            yield from _unfit_number(item, (*path, index))
    else:
        yield from _unfit_number(raw, path)


def _unfit_number(raw: object, path: Path) -> Iterator[tuple[Path, object]]:
    if (isinstance(raw, float) and not math.isfinite(raw)) or (isinstance(raw, int) and not -(2**63) <= raw < 2**63):
        yield path, raw


def _written(path: Path, keys: dict[str, str]) -> Path:
    """A path as the file writes it: a feature stands in the key that lists it among others."""
    if len(path) > 2 and path[:2] == ("data", "features") and path[2] in keys:
        return (*path[:2], keys[str(path[2])], *path[3:])
    return path


def _names(key: str) -> list[str]:
    return [name.strip() for name in key.split(",")]


def _dotted(path: Path) -> str:
    return ".".join(f"[{part}]" if isinstance(part, int) else part for part in path)


def _title(path: Path) -> str:
    return f"[{_dotted(path)}]" if path else "the file"


def _shown(raw: object) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    try:
        text = repr(raw) if isinstance(raw, str | dict | list) else str(raw)
    except (ValueError, RecursionError):
        # A number of over 4,300 digits, or tables in tables without end.
        return "…"
    return text if len(text) <= 60 else text[:59] + "…"


def _feature_lines(raw: dict[str, Any]) -> dict[str, Any]:
    """``[data.features]`` as it is written; empty where it is no table."""
    data = raw.get("data")
    features = data.get("features") if isinstance(data, dict) else None
    return features if isinstance(features, dict) else {}


def _sound_sections(raw: dict[str, Any]) -> tuple[Pipeline, frozenset[str]]:
    """The settings, section by section, and the names of the sections that are sound by themselves.

    One section that is absent or wrong hides no mistake of the others: what fits together among the sound ones is
    checked all the same. The others are None, and whoever gets this asks the names first.
    """
    found: dict[str, Any] = {}
    for name, field in _fields(Pipeline).items():
        found[name] = None
        if name in raw or not field.required:
            try:
                value = _split_features(raw)["data"] if name == "data" else raw.get(name, field.default)
                found[name] = msgspec.convert(value, field.type, strict=True)
            except (msgspec.ValidationError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
                continue
    return Pipeline(**found), frozenset(name for name, value in found.items() if value is not None)


def _split_features(raw: dict[str, Any]) -> dict[str, Any]:
    """The file with ``[data.features]`` as a list of single names."""
    lines = dict(raw["data"]["features"])
    forbidden = lines.pop("forbidden", None)
    known_at = {name: value for key, value in lines.items() for name in _names(key)}
    return {**raw, "data": {**raw["data"], "features": {"known_at": known_at, "forbidden": forbidden}}}


def _is_other_way(name: str) -> bool:
    """Whether a setting is one of the ways to name a candidate, of which a file uses one."""
    first, _, rest = name.partition(".")
    return first == "candidates" and rest.rpartition(".")[2] in OTHER_WAYS


# Meaning ---------------------------------------------------------------------------------------------------

PROSE = frozenset({"why", "owner", "decision", "used_for", "cost_of_wrong", "not_for"})
"""Settings that explain; changing them changes no result."""
LATER = {
    (Gates, "approved_by"): None,
    (Pipeline, "waivers"): None,
    (Pipeline, "leakage"): None,
    (Time, "unit"): "calendar",
    (Time, "format"): None,
    (Data, "csv"): None,
    (Data, "infinite"): "refuse",
    (Data, "unit"): None,
    (Join, "csv"): None,
    (Candidate, "estimator"): None,
    (Candidate, "from"): None,
    (Candidate, "trained_until"): None,
    (Candidate, "predictions"): None,
    (Candidate, "declared_by"): None,
    (Time, "labels"): "first day",
    (Time, "empty_windows"): None,
    (Candidate, "keep"): None,
    (Data, "weight"): None,
    (Candidate, "class_weight"): None,
    (SelectionRule, "quantile"): None,
    (SelectionRule, "costs"): None,
}
"""Settings that came after files without them had been recorded, with what those files always meant: there they are
left out of the meaning, so that those files keep theirs."""
CHECKS = frozenset({"fingerprint", "rows_expected", "proposed"})
"""Settings that can only refuse something, a slice or a promotion; the slice is identified by its content."""
UNSAID = frozenset({"proposed", "time.labels", "time.empty_windows", "leakage"})
"""No defaults: without ``proposed`` no setting is still to be confirmed, without ``leakage`` no question is answered,
without ``empty_windows`` no window is empty, and ``labels`` follows from another."""


OTHER_WAYS = frozenset({"estimator", "from", "trained_until", "predictions", "declared_by"})
"""No defaults either: what makes a candidate is said in one of these, and the others do not apply."""


def meaning_of(settings: Pipeline) -> dict[str, Any]:
    """Every setting that can change a result, with its defaults, in plain JSON values."""

    def plain(value: Any) -> Any:
        # Only a setting can be prose. A parameter, feature, candidate or joined column may bear the same name.
        if isinstance(value, msgspec.Struct):
            table = type(value)
            found = {
                name: getattr(value, field.name) for name, field in _fields(table).items() if name not in PROSE | CHECKS
            }
            return {
                name: plain(item)
                for name, item in found.items()
                if (table, name) not in LATER or item != LATER[table, name]
            }
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return msgspec.to_builtins(value)

    meaning = plain(settings)
    assert isinstance(meaning, dict)
    return meaning
