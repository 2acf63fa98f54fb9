"""What computed a result: interpreter, machine, libraries, threads, and the program's own source."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from blake3 import blake3

from tallystick import ledger
from tallystick.ledger.events.event import encode_canonical
from tallystick.ledger.events.types import EnvironmentCaptured
from tallystick.ledger.system.git import changed
from tallystick.ledger.system.provenance import GIT_SECONDS, git_answer

VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_DYNAMIC",
    "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE",
    "MKL_NUM_THREADS",
    "MKL_CBWR",
    "BLIS_NUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "PYTHONHASHSEED",
    "TZ",
    "LANG",
    "LC_ALL",
    "LC_NUMERIC",
)
"""Environment variables that have been seen to change results in their last bits."""

POOL_FACTS = ("user_api", "internal_api", "version", "threading_layer", "architecture")
"""Not how many threads a pool may use: fits and predictions run on one, whatever the pool allows."""


def capture() -> EnvironmentCaptured:
    """Describe this environment; equal environments get equal names."""
    content: dict[str, Any] = {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cpu": _cpu(),
        "packages": dict(sorted((found.metadata["Name"], found.version) for found in metadata.distributions())),
        "thread_pools": _thread_pools(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ} | _uncommitted(),
        "source_hash": source_hash(),
    }
    name = blake3(encode_canonical(content)).hexdigest()[:12]
    return EnvironmentCaptured(environment=name, **content)


def source_hash() -> str:
    """BLAKE3 over the source files of the packages that compute and record, by relative name."""
    hasher = blake3()
    for folder in (Path(str(ledger.__file__)).parent, Path(__file__).parents[1]):
        for file in sorted(folder.rglob("*.py")):
            hasher.update(f"{folder.name}/{file.relative_to(folder).as_posix()}\n".encode())
            hasher.update(blake3(file.read_bytes()).digest())
    return hasher.hexdigest()


def _thread_pools() -> list[dict[str, Any]]:
    """What computes in parallel, each once and in one order, whatever was imported before."""
    import scipy.linalg  # noqa: F401  # these three bring the pools that are then listed
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_info

    pools = [{key: pool[key] for key in POOL_FACTS if pool.get(key)} for pool in threadpool_info()]
    distinct = {encode_canonical(pool): pool for pool in pools}
    return [distinct[key] for key in sorted(distinct)]


def _uncommitted() -> dict[str, str]:
    """BLAKE3 of what the working folder changes beside its git commit, which the head of every commit names.

    Files that git would pass through a filter are left out, because filters are not run and may be all the difference.
    """
    found = changed(Path(), GIT_SECONDS)
    if found is None or not found.files:
        return {}
    only = ("--", *(f":(top,literal){name}" for name in found.files)) if found.unclear else ()
    changes = (git_answer("diff", "HEAD", "--binary", *only) or "").strip()
    return {"GIT_DIFF": blake3(changes.encode()).hexdigest()} if changes else {}


def changes(before: EnvironmentCaptured, after: EnvironmentCaptured) -> list[str]:
    """What is not the same in two environments, one phrase each: ``numpy 2.3.1 → 2.4.0``."""
    said = [
        f"{name} {old} → {new}"
        for name, old, new in (
            ("Python", before.python, after.python),
            ("platform", before.platform, after.platform),
            ("processor", before.cpu, after.cpu),
        )
        if old != new
    ]
    for old, new in ((before.packages, after.packages), (before.variables, after.variables)):
        said += [
            f"{name} {old.get(name, 'not there')} → {new.get(name, 'not there')}"
            for name in sorted(old.keys() | new.keys())
            if old.get(name) != new.get(name)
        ]
    if before.thread_pools != after.thread_pools:
        said.append("the libraries for linear algebra")
    if before.source_hash != after.source_hash:
        said.append(f"tallystick's own code {before.source_hash[:12]} → {after.source_hash[:12]}")
    return said


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
