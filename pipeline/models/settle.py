"""One thread, no files and no printing for estimators that would otherwise take what they find.

None of these settings changes what is learnt, but for the last bits that depend on the number of threads; and what a
pipeline file or the code of its own says stays as it is.
"""

from __future__ import annotations

from typing import Any

QUIET: dict[str, dict[str, Any]] = {
    "lightgbm": {"n_jobs": 1, "verbose": -1},
    "xgboost": {"n_jobs": 1},
    "catboost": {"thread_count": 1, "allow_writing_files": False, "verbose": False},
}
SAME_AS: dict[str, tuple[str, ...]] = {
    "n_jobs": ("n_jobs", "num_threads", "num_thread", "nthread", "nthreads"),
    "verbose": ("verbose", "verbosity", "silent", "logging_level", "verbose_eval"),
}
"""Names under which a library takes the same setting."""


def settle(estimator: Any) -> Any:
    """The estimator, with what it and its parts leave open set for a run; it is changed in place.

    Their own limits of threads are set because :func:`threadpoolctl.threadpool_limits` does not reach them: they count
    the processors themselves.
    """
    for part in [estimator, *_parameters(estimator).values()]:
        wanted = QUIET.get(type(part).__module__.partition(".")[0])
        if wanted is None or isinstance(part, type):
            continue
        known = _parameters(part)
        opened = {
            name: value
            for name, value in wanted.items()
            if all(known.get(other) is None for other in SAME_AS.get(name, (name,)))
        }
        if opened:
            part.set_params(**opened)
    return estimator


def _parameters(estimator: Any) -> dict[str, Any]:
    try:
        found: dict[str, Any] = estimator.get_params()
    except (AttributeError, TypeError, ValueError, NotImplementedError):
        return {}  # not in the manner of scikit-learn
    return found
