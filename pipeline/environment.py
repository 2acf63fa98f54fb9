"""What computed a result: interpreter, machine, libraries, threads, and the program's own source."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from blake3 import blake3

import ledger
import pipeline
from ledger.event import encode_canonical
from ledger.vocabulary import EnvironmentCaptured

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "PYTHONHASHSEED",
    "TZ",
    "LANG",
    "LC_ALL",
)
"""Environment variables that have been seen to change results in their last bits."""


def capture() -> EnvironmentCaptured:
    """Describe this environment; equal environments get equal names."""
    import sklearn  # noqa: F401  # loads the thread pools that are then listed
    from threadpoolctl import threadpool_info

    content: dict[str, Any] = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": _cpu(),
        "packages": dict(sorted((found.metadata["Name"], found.version) for found in metadata.distributions())),
        "thread_pools": [
            {key: pool[key] for key in ("user_api", "internal_api", "version", "threading_layer") if pool.get(key)}
            for pool in threadpool_info()
        ],
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
        "source_hash": source_hash(),
    }
    name = blake3(encode_canonical(content)).hexdigest()[:12]
    return EnvironmentCaptured(environment=name, **content)


def source_hash() -> str:
    """BLAKE3 over the source files of the packages that compute and record, by relative name."""
    hasher = blake3()
    for package in (ledger, pipeline):
        folder = Path(str(package.__file__)).parent
        for file in sorted(folder.rglob("*.py")):
            hasher.update(f"{folder.name}/{file.relative_to(folder).as_posix()}\n".encode())
            hasher.update(blake3(file.read_bytes()).digest())
    return hasher.hexdigest()


def _cpu() -> str:
    """The processor's name and the NumPy kernels that it selects, both of which can change last bits."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    from numpy._core._multiarray_umath import __cpu_features__

    return f"{name} [{' '.join(sorted(feature for feature, has in __cpu_features__.items() if has))}]"
