"""The libraries of the extra ``pipeline``, and the error that says how to install them.

A core install reads, verifies, travels, records and shows. What trains and judges models needs pandas, scikit-learn and
what they stand on, which take six times the space of everything else; whoever only reads a ledger leaves them out.
"""

from __future__ import annotations

import shlex
import shutil
import sys

from tallystick.ledger.errors import MissingExtra

DISTRIBUTIONS = {
    "joblib": "joblib",
    "numpy": "numpy",
    "pandas": "pandas",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "skops": "skops",
    "threadpoolctl": "threadpoolctl",
}
"""What is imported, and the distribution that holds it."""

MODEL_LIBRARIES = {
    "catboost": "catboost",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "xgboost": "xgboost",
}
"""What is imported to make or to use models of other libraries, and the extra that brings it."""


def missing_extra(error: ModuleNotFoundError, command: str) -> MissingExtra | None:
    """The error for people when ``command`` could not import a library of the extra; None for any other module."""
    library = lacking(error)
    if library is None:
        return None
    return MissingExtra(f"{command} needs {library}, which is not installed here.", f"Type: {install_line('pipeline')}")


def lacking(error: BaseException) -> str | None:
    """The distribution of the extra whose absence raised this error; None where it was something else."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    return DISTRIBUTIONS.get((error.name or "").partition(".")[0])


def missing_library(module: str, what: str) -> MissingExtra:
    """The error for people where a library of models is not installed.

    Parameters
    ----------
    module : str
        A key of :data:`MODEL_LIBRARIES`.
    what : str
        What needs it, as a sentence begins: ``"This model"``.
    """
    extra = MODEL_LIBRARIES[module]
    return MissingExtra(f"{what} needs {module}, which is not installed here.", f"Type: {install_line(extra)}")


def install_line(extra: str) -> str:
    """The shell command that adds an extra to the environment in which this program runs.

    It names the interpreter: a bare ``pip`` may belong to another environment.
    """
    known = _has_metadata() or extra != "pipeline"
    wanted = shlex.quote(f"tallystick[{extra}]") if known else " ".join(sorted(DISTRIBUTIONS.values()))
    return f"{_installer()} {wanted}"


def _installer() -> str:
    from importlib.util import find_spec  # here, for it takes quick commands 10 ms

    python = shlex.quote(sys.executable)
    if find_spec("pip") is None and shutil.which("uv"):
        return f"uv pip install --python {python}"
    return f"{python} -m pip install"


def _has_metadata() -> bool:
    """Whether an installer knows that tallystick is here; otherwise it would look for one of that name elsewhere."""
    from importlib import metadata

    try:
        return bool(metadata.version("tallystick"))
    except metadata.PackageNotFoundError:
        return False
