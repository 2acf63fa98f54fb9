"""What MLflow looks up by name: builders of its stores for addresses ``tally:`` and ``tally-files:``.

MLflow loads this while it is being imported itself, so nothing of it is imported before a builder is called.
"""

from __future__ import annotations

from typing import Any

from tallystick.ledger.exchange.location import parse
from tallystick.ledger.exchange.session import shared


def tracking_store(store_uri: str, artifact_uri: str | None = None, **_options: Any) -> Any:
    """MLflow's tracking store for ``tally:///folder``."""
    from tallystick.ledger.exchange.mlflow_tracking import TallyTrackingStore

    return TallyTrackingStore(shared(parse(store_uri)), artifact_uri)


def registry_store(store_uri: str, tracking_uri: str | None = None, **_options: Any) -> Any:
    """MLflow's model registry for ``tally:///folder``."""
    from tallystick.ledger.exchange.mlflow_registry import TallyRegistryStore

    return TallyRegistryStore(shared(parse(store_uri)))


def files_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None, **_options: Any
) -> Any:
    """MLflow's artifact repository for ``tally-files:///folder/-/…``."""
    from tallystick.ledger.exchange.mlflow_files import TallyFilesRepository

    return TallyFilesRepository(artifact_uri, tracking_uri, registry_uri)
