"""Processes of this machine that compute cells side by side."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tallystick.ledger.system.processes import end_with_parent
from tallystick.pipeline.recipes import beside, look_beside


def parallel(workers: int, **settings: Any) -> Any:
    """A ``joblib.Parallel`` under whatever backend is active; processes that it starts end with this one.

    Parameters
    ----------
    settings
        As of ``joblib.Parallel``.
    """
    from joblib import Parallel
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    # A cluster's workers belong to the cluster; threads and loops in this process end with it anyway.
    if type(backend).__name__ == "LokyBackend":
        settings |= {"initializer": _begin, "initargs": (os.getpid(), beside())}
    return Parallel(n_jobs=workers, **settings)


def _begin(parent: int, folder: Path | None) -> None:
    """The beginning of a worker."""
    end_with_parent(parent)
    look_beside(folder)
