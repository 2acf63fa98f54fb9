"""Modules of a pipeline's own: read beside its file with all that they import there, and run from that text alone.

What is run is what is recorded. The modules are gathered as text, travel with the recipe to whatever process fits it,
and are built from that text under names of their own (``tallystick_beside.NAME``), never from a compiled copy and never
from a folder that Python itself imports from: a file named like some optional library would then be run by whoever asks
for that library. Inside these modules ``import helpers`` means the module of the same folder.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from blake3 import blake3

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.system.files import read_foreign

ROOT = "tallystick_beside"
LARGEST_MODULE_BYTES = 1 << 20
MOST_MODULES = 200


class OwnCode(msgspec.Struct, frozen=True, dict=True):
    """A module and those of its folder that it imports, as text."""

    main: str
    sources: dict[str, str]
    """Dotted name -> text; a package has the text of its ``__init__.py``."""
    packages: tuple[str, ...] = ()
    """Those of the names that are packages."""
    places: dict[str, str] = {}
    """Name -> the file that it was read from; of code that a ledger recorded nothing."""

    @cached_property
    def digest(self) -> str:
        """Identifies the text."""
        content = [sorted(self.sources.items()), sorted(self.packages)]
        return blake3(msgspec.json.encode(content)).hexdigest()


# Gathering --------------------------------------------------------------------------------------------------


def module_file(name: str, folder: Path) -> Path | None:
    """The file of a module in a folder; None where it has none. Nothing is read.

    Raises
    ------
    InvalidInput
        Where the module would hide one that is installed.
    """
    place = folder.joinpath(*name.split("."))
    path = next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)
    top = name.partition(".")[0]
    if path is None:
        return None
    if (other := _installed(top, folder)) is not None:
        raise InvalidInput(
            f"{path} would hide the installed module {top} ({other}); it was not run.",
            f"Give your file another name, and say that name in the pipeline file: my_{top}:…",
        )
    return path


def _installed(top: str, folder: Path) -> str | None:
    """Where Python itself would find a module, other than in this folder; None where it finds none."""
    from importlib.util import find_spec  # here, for it takes quick commands 10 ms

    if top in sys.stdlib_module_names:
        return "the standard library"
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None or (spec.origin is None and spec.loader is None):
        return None
    if spec.origin is not None and folder.resolve() in Path(spec.origin).resolve().parents:
        return None
    return spec.origin or "built in"


def gather(main: str, folder: Path) -> OwnCode | None:
    """A module beside the pipeline file with all that it imports from there; None where there is no such module.

    Nothing is run. Imports are those that the syntax shows, wherever in the text; modules that a program names at run
    time are not found, here or when it runs.
    """
    if module_file(main, folder) is None:
        return None
    sources: dict[str, str] = {}
    places: dict[str, str] = {}
    packages: list[str] = []
    waiting = [main]
    while waiting:
        name = waiting.pop()
        if sources.get(name) or (path := module_file(name, folder)) is None:
            continue
        for above in _packages_above(name):
            # A folder without an `__init__.py` is a package all the same.
            sources.setdefault(above, "")
            packages += [above]
        if len(sources) == MOST_MODULES:
            raise InvalidInput(f"{main} imports more than {MOST_MODULES} modules of its own folder.")
        is_package = path.name == "__init__.py"
        sources[name], places[name] = _text(path), str(path)
        packages += [name] if is_package else []
        waiting += [above for above in _packages_above(name) if not sources[above]]
        waiting += _imported(sources[name], name if is_package else name.rpartition(".")[0])
    return OwnCode(main, dict(sorted(sources.items())), tuple(sorted(set(packages))), places)


def _packages_above(name: str) -> list[str]:
    """``a.b.c`` -> ``a``, ``a.b``."""
    parts = name.split(".")[:-1]
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _text(path: Path) -> str:
    data = read_foreign(path.resolve(), LARGEST_MODULE_BYTES)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}.") from None


def _imported(text: str, package: str) -> list[str]:
    """Every module that a text may import, installed ones among them; none where it is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return []  # running it says what is wrong
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(part for part in (*above, node.module or "") if part)
            found += [base] if base else []
            found += [f"{base}.{alias.name}".strip(".") for alias in node.names if alias.name != "*"]
    return found


# Running ----------------------------------------------------------------------------------------------------


class _Active:
    """The modules of a pipeline's own that imports find now, and those that were built from other texts."""

    code: OwnCode | None = None
    built: dict[str, dict[str, ModuleType]] = {}  # noqa: RUF012 - one for the process
    on_run: Callable[[Path], None] = staticmethod(lambda _path: None)


def name_before_import(on_run: Callable[[Path], None]) -> None:
    """Call this with the file of each module of a pipeline's own before its text is run in this process.

    Of code that a ledger recorded it is the name that the file had.
    """
    _Active.on_run = staticmethod(on_run)


def activate(code: OwnCode | None) -> None:
    """Let this code be what imports of ``tallystick_beside`` find; modules of it that were built before are kept."""
    before = _Active.code
    if before is not None and code is not None and before.digest == code.digest:
        return
    here = {name: module for name, module in sys.modules.items() if name.startswith(f"{ROOT}.")}
    if before is not None:
        _Active.built[before.digest] = here
    for name in here:
        del sys.modules[name]
    _Active.code = code
    if code is None:
        return
    root = sys.modules.setdefault(ROOT, ModuleType(ROOT))
    root.__path__ = []
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
    sys.modules.update(_Active.built.get(code.digest, {}))


def active() -> OwnCode | None:
    """The code that imports find now."""
    return _Active.code


def forget() -> None:
    """No code of a pipeline's own is active or kept."""
    activate(None)
    _Active.built.clear()


def main_module(code: OwnCode) -> ModuleType:
    """The module that the code begins with, built where it is not yet."""
    activate(code)
    return importlib.import_module(f"{ROOT}.{code.main}")


def is_own(type_name: str) -> bool:
    """Whether a type is one of the active code."""
    module, _, _ = type_name.rpartition(".")
    return _Active.code is not None and module in {f"{ROOT}.{name}" for name in _Active.code.sources}


class _Finder(MetaPathFinder):
    """Finds what lies below ``tallystick_beside`` in the active code."""

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        code, name = _Active.code, fullname.removeprefix(f"{ROOT}.")
        if code is None or name == fullname or name not in code.sources:
            return None
        return ModuleSpec(fullname, _Loader(code, name), origin=f"<{name}.py>", is_package=name in code.packages)

    def invalidate_caches(self) -> None:
        """Nothing is cached."""


class _Loader(Loader):
    def __init__(self, code: OwnCode, name: str) -> None:
        self.code, self.name = code, name

    def create_module(self, _spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        place = self.code.places.get(self.name)
        if self.code.sources[self.name]:
            _Active.on_run(Path(place if place is not None else f"{self.name}.py"))
        module.__file__ = f"<{self.name}.py>"
        own = {name.partition(".")[0] for name in self.code.sources}
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _importing(own)}
        exec(compile(self.code.sources[self.name], module.__file__, "exec"), module.__dict__)


def _importing(own: set[str]) -> Any:
    """The ``__import__`` of modules of a pipeline's own: names of their folder mean what lies there."""

    def import_(
        name: str,
        globals_: Mapping[str, object] | None = None,
        locals_: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in own:
            return builtins.__import__(name, globals_, locals_, fromlist or (), level)
        found = importlib.import_module(f"{ROOT}.{name}")
        if not fromlist:
            return importlib.import_module(f"{ROOT}.{top}")
        for part in fromlist:
            if f"{ROOT}.{name}.{part}" not in sys.modules and not hasattr(found, part):
                builtins.__import__(f"{ROOT}.{name}", None, None, (part,), 0)
        return found

    return import_
