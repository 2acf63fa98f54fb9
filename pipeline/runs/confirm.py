"""Confirming what a program proposed: a person takes settings off the list, and the ledger records who and when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tallystick.ledger import Appended, find
from tallystick.ledger import open as open_
from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.system.files import write_whole
from tallystick.ledger.views.entities import PipelineState
from tallystick.pipeline.config.canonical import registration_at
from tallystick.pipeline.config.load import LoadedPipeline, parse, read
from tallystick.pipeline.config.loosening import refuse_silent_loosening
from tallystick.pipeline.config.proposed import confirmed, proposed_in
from tallystick.pipeline.config.registration import registration


class Confirmed(NamedTuple):
    """What was confirmed."""

    loaded: LoadedPipeline
    names: list[str]
    left: list[str]
    appended: Appended | None
    """None where the ledger has no run of this configuration yet: the next run records the file as it is."""


def confirm(book: Ledger | None, path: Path, names: list[str] | None) -> Confirmed:
    """Take settings off the list of a pipeline file, and record the file where its configuration is registered.

    The configuration stays what it was, so a model that was made by it needs no new run.

    Parameters
    ----------
    names : list of str, optional
        Dotted names; all that are listed where it is None.

    Raises
    ------
    InvalidInput
        For a setting that is not listed.
    Refused
        Where the file is laxer than the one registered last without saying why.
    """
    loaded = read(path)
    taken = proposed_in(loaded.text) if names is None else list(dict.fromkeys(names))
    text = confirmed(loaded.text, taken) if taken else loaded.text
    changed = parse(text.encode(), path)
    if book is not None:
        refuse_silent_loosening(book.now(), changed)
    if text != loaded.text:
        write_whole(path, text.encode())
    appended = _recorded(book, changed) if book is not None else None
    return Confirmed(changed, taken, proposed_in(text), appended)


def confirm_here(file: str | Path, settings: Sequence[str] | Literal["all"]) -> Confirmed:
    """Confirm settings that were proposed, in the ledger of this folder or of one above it, where there is one.

    Parameters
    ----------
    file : str or Path
        The pipeline file.
    settings : sequence of str, or "all"
        Dotted names as ``[proposed]`` lists them.

    Raises
    ------
    InvalidInput
        For a setting that is not listed.
    Refused
        Where the file is laxer than the one registered last without saying why.

    Examples
    --------
    >>> import tallystick
    >>> tallystick.confirm("churn.toml", ["time.window", "gates"])  # doctest: +SKIP
    """
    names = None if settings == "all" else list(settings)
    if names == []:
        raise InvalidInput("No setting is named.", f'`tally confirm {file}` lists them; "all" means every one.')
    folder = find(Path.cwd())
    if folder is None:
        return confirm(None, Path(file), names)
    with open_(folder) as book:
        return confirm(book, Path(file), names)


def _recorded(book: Ledger, loaded: LoadedPipeline) -> Appended | None:
    """Register the words of a configuration that is registered already; None where there is nothing to record."""
    now, name = book.now(), loaded.settings.name
    if not any(state.pipeline == name for state in now.pipelines()):
        return None
    versions = now.versions(PipelineState, name)
    newest = registration_at(now, versions[-1].registered_by)
    known = any(state.meaning_hash == loaded.meaning_hash for state in versions)
    if not known or (newest is not None and newest.text_hash == loaded.text_hash):
        return None
    return book.append(registration(book, loaded))
