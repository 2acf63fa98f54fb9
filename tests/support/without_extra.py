"""A process in which no library of the extra ``pipeline`` can be imported, as after a core install.

python tests/support/without_extra.py champion late-arrivals      # the command `tally`, so
python -c "import without_extra; without_extra.forbid(); …"
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

FORBIDDEN = frozenset({"dask", "distributed", "joblib", "numpy", "pandas", "pyarrow", "scipy", "skops", "sklearn",
                       "threadpoolctl"})  # fmt: skip


class _Missing:
    """A finder that stands before all others and finds none of these."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def forbid() -> None:
    """From now on this process is one of a core install; it must not have imported any of them yet."""
    loaded = FORBIDDEN & sys.modules.keys()
    if loaded:
        raise RuntimeError(f"already imported: {', '.join(sorted(loaded))}")
    sys.meta_path.insert(0, _Missing())


if __name__ == "__main__":
    forbid()
    from tallystick.tui.cli.main import main

    main()
