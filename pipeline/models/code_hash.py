"""The identity of a recipe's code: its syntax, without what is only written for people.

A comment, a docstring or a line break changes no model, so it must not make an old run's recipe "another one". What is
hashed is the syntax tree of the function or class that an estimator names, with everything of the same module that it
uses, directly or through others: functions, classes, constants, imports. What that module imports from elsewhere is
identified by its name alone, as libraries are identified by their versions.

Runs recorded the SHA-256 of the whole source file before. :func:`equivalent_hashes` says which of those hashes stand
for the same code.
"""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from tallystick.pipeline import recipes
from tallystick.pipeline.own_code import OwnCode
from tallystick.pipeline.recipes import module_of, own_code

SCHEME = "syntax-1:"
SEVERAL = "modules-1:"
"""Of a module that imports others of its own folder: its own hash, and those of the whole of each other module."""
SEES_EVERYTHING = frozenset({"globals", "locals", "vars", "eval", "exec", "__import__", "getattr", "import_module"})
"""What can reach names that the syntax does not show: a module that uses one is hashed whole."""
_FIRST = {
    "linear": "syntax-1:95ad444ccd79b7b0c976067540dbbcd49d8a96e9c2fa35c8e8fb6e3754d5fc7f",
    "trees": "syntax-1:533b39015c8f9f5aa4a5f3f0ca07e9751ac5cf577b748f6e99a5e80516190827",
}
RELEASED = {
    "e072fcf3735d61fc0360a3af03f35e8bb7ec3e31307f2d0d170dcd16a54a5202": _FIRST,
    "e48c8b6f3a59391e1b123e8a0c9b284129e3352262a548db0ae3fe4db4b9a403": _FIRST,
    "e0a8875a8dbcd447d456f7d8b9523674932e88c267c42b8f7447dd1fc99044b1": _FIRST,
    "68d31a22ab7743a738a503baec0e1315297545000a30006a1a0d3dad91654cbc": _FIRST,
}
"""SHA-256 of ``pipeline/recipes.py`` as it was released -> the hash of each recipe that it held."""


def code_hash(estimator: str, code: OwnCode | None = None) -> str:
    """The hash of the code behind ``"module:callable"``, for recipes outside installed libraries.

    scikit-learn's own classes are identified by the library's version instead, which the environment records. Of a
    module without readable source the bytes of its file are hashed; without a file the answer is empty.

    Parameters
    ----------
    code : OwnCode, optional
        The modules that it is made of; else those that lie beside the pipeline file, or are installed.
    """
    code = own_code(estimator) if code is None else code
    source = _source(estimator) if code is None else code.sources[code.main].encode()
    if source is None:
        return ""
    own = syntax_hash(source, estimator.partition(":")[2]) or hashlib.sha256(source).hexdigest()
    others = [] if code is None else [name for name in code.sources if name != code.main]
    if code is None or not others:
        return own
    content = json.dumps([own, [[name, _whole_hash(code.sources[name])] for name in sorted(others)]])
    return SEVERAL + hashlib.sha256(content.encode()).hexdigest()


def equivalent_hashes(estimator: str, code: OwnCode | None = None) -> list[str]:
    """Every hash that has been recorded for code like the present one, the present hash first."""
    code = own_code(estimator) if code is None else code
    source = _source(estimator) if code is None else code.sources[code.main].encode()
    if source is None:
        return [""]
    name, present = estimator.partition(":")[2], code_hash(estimator, code)
    if code is not None and len(code.sources) > 1:
        return [present]
    file_hash = hashlib.sha256(source).hexdigest()
    ours = source == Path(recipes.__file__).read_bytes()
    released = [file for file, held in RELEASED.items() if ours and held.get(name) == present]
    return list(dict.fromkeys([present, file_hash, *released]))


def _source(estimator: str) -> bytes | None:
    if estimator.startswith("sklearn."):
        return None
    file = getattr(module_of(estimator.partition(":")[0]), "__file__", None)
    return Path(file).read_bytes() if file else None


def _whole_hash(text: str) -> str:
    """The hash of all of a module but what is only written for people."""
    try:
        statements = _without_text(ast.parse(text).body)
    except (SyntaxError, ValueError, RecursionError):
        return hashlib.sha256(text.encode()).hexdigest()
    content = json.dumps([_plain(node) for node in statements], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


@lru_cache(maxsize=256)
def syntax_hash(source: bytes, name: str) -> str | None:
    """The hash of a module's definition of ``name`` with all that it uses there; None where this is no such source."""
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError):
        return None
    used = _used(statements, name)
    if used is None:
        return None
    content = json.dumps([name, [_plain(node) for node in used]], ensure_ascii=True, separators=(",", ":"))
    return SCHEME + hashlib.sha256(content.encode()).hexdigest()


def _used(statements: list[ast.stmt], name: str) -> list[ast.AST] | None:
    """The statements of a module that a definition rests on, in order; None where the module does not define it."""
    parts = [part for statement in statements for part in _parts(statement)]
    binding: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        for bound in _bound(part):
            binding.setdefault(bound, []).append(place)
    if name not in binding:
        return None
    reached: set[int] = set()
    waiting = list(binding[name])
    while waiting:
        place = waiting.pop()
        if place in reached:
            continue
        reached.add(place)
        names = _names(parts[place])
        if names & SEES_EVERYTHING:
            return [part for part in parts if not _is_text(part)]
        waiting += [other for found in names for other in binding.get(found, ())]
    stars = {place for place, part in enumerate(parts) if isinstance(part, ast.ImportFrom) and _is_star(part)}
    return [parts[place] for place in sorted(reached | stars)]


def _parts(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement; an import of several names as one statement for each, so that an unused one does not count."""
    if isinstance(statement, ast.Import):
        yield from (ast.Import(names=[alias]) for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        if statement.module != "__future__":
            for alias in statement.names:
                yield ast.ImportFrom(module=statement.module, names=[alias], level=statement.level)
    else:
        yield statement


def _bound(statement: ast.stmt) -> set[str]:
    """The names that a statement of a module gives a meaning or may change."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
        case ast.Assign() if all(isinstance(target, ast.Name) for target in statement.targets):
            return {target.id for target in statement.targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    # Anything else (a call, an `if`, `TABLE[x] = y`) may change whatever it mentions.
    inner = {
        node.name
        for node in ast.walk(statement)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    aliases = {
        (node.asname or node.name).partition(".")[0] for node in ast.walk(statement) if isinstance(node, ast.alias)
    }
    return _names(statement) | inner | aliases


def _names(statement: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}


def _is_star(statement: ast.ImportFrom) -> bool:
    return any(alias.name == "*" for alias in statement.names)


def _is_text(node: object) -> bool:
    """A statement that is only a text: a docstring, which does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _plain(node: Any) -> Any:
    """A syntax tree as plain lists, the same under every version of Python: what is absent or empty is left out."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name not in ("kind", "type_comment"))
        content = [[name, _plain(value)] for name, value in fields if not (value is None and name != "value")]
        return [type(node).__name__, [[name, value] for name, value in content if value != []]]
    if isinstance(node, list):
        return [_plain(item) for item in _without_text(node)]
    return f"{type(node).__name__} {node!r}"


def _without_text(nodes: Iterable[Any]) -> list[Any]:
    return [node for node in nodes if not _is_text(node)]
