"""A pipeline file as the ledger records it, before anything of it has a result."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.config.load import LoadedPipeline


def registration(book: Ledger, loaded: LoadedPipeline) -> say.PipelineRegistered:
    """The pipeline file as it is recorded before anything of it has a result."""
    return say.PipelineRegistered(
        pipeline=loaded.settings.name,
        owner=loaded.settings.owner,
        questions=msgspec.to_builtins(loaded.settings.questions),
        text=loaded.text,
        text_hash=loaded.text_hash,
        meaning=loaded.meaning,
        meaning_hash=loaded.meaning_hash,
        defaulted=loaded.defaulted,
        path=_path_from(book.folder.parent, loaded.path),
    )


def _path_from(home: Path, file: Path) -> str:
    """The file as seen from the ledger's folder, so that its data is found again; its bare name from elsewhere.

    Never an absolute path: those tell about people's machines.
    """
    home, file = home.resolve(), file.resolve()
    return file.relative_to(home).as_posix() if file.is_relative_to(home) else file.name
