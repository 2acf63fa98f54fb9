"""Processes of this machine that compute cells side by side."""

from __future__ import annotations

import os
from typing import Any

from tallystick.ledger.system.processes import end_with_parent


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
        settings |= {"initializer": end_with_parent, "initargs": (os.getpid(),)}
    return Parallel(n_jobs=workers, **settings)
