"""A pipeline as the ledger registered it, and the folder that its data is found from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tallystick.ledger.errors import InvalidInput
from tallystick.ledger.events import types as say
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.config.load import LoadedPipeline, parse, read
from tallystick.pipeline.config.settings import Pipeline
from tallystick.pipeline.data.reading import READING, csv_reading
from tallystick.pipeline.data.sources import column_names
from tallystick.pipeline.recipes import look_beside


def registered(body: say.PipelineRegistered) -> LoadedPipeline:
    """The configuration in a registration, read again.

    Raises
    ------
    InvalidInput
        Where this version of the program does not read it, or reads another meaning in it.
    """
    loaded = parse(body.text.encode(), Path(body.path))
    if loaded.meaning_hash != body.meaning_hash:
        raise InvalidInput(
            f"This version of tallystick reads another meaning in the registered configuration of {body.pipeline}: "
            f"{loaded.meaning_hash[:12]} instead of {body.meaning_hash[:12]}.",
            "Use the version that the run's environment names: `tally show` of the environment has it.",
        )
    return loaded


def with_data(loaded: LoadedPipeline, book: Ledger, file: Path | None, reading: int = READING) -> tuple[Pipeline, Path]:
    """The registered settings with the sources to read now, and the folder that relative paths begin at.

    What a table *should* be (``rows_expected``, ``fingerprint``) is left out: whoever asks compares it himself,
    window by window.

    Parameters
    ----------
    file : Path, optional
        A pipeline file that says where the data is today. Only its sources are taken. Without it the data is looked
        for where the registered file was, seen from the ledger's folder and from this one.

    Raises
    ------
    InvalidInput
        When the data is not there.
    """
    data = loaded.settings.data
    if file is not None:
        given = read(file).settings.data
        joins = {
            name: msgspec.structs.replace(join, source=given.joins[name].source, csv=given.joins[name].csv)
            if name in given.joins
            else join
            for name, join in data.joins.items()
        }
        data = msgspec.structs.replace(data, source=given.source, csv=given.csv, joins=joins)
        base = file.parent
        look_beside(base)
    else:
        base = find_base(loaded, book, [data.source], reading)
    data = msgspec.structs.replace(data, rows_expected=None, fingerprint=None)
    return msgspec.structs.replace(loaded.settings, data=data), base


def find_base(loaded: LoadedPipeline, book: Ledger, sources: Sequence[str], reading: int = READING) -> Path:
    """The folder from which the relative paths of some sources lead to data; InvalidInput where there is none.

    Recipes of the pipeline's own are then looked for there as well.
    """
    homes = [book.folder.parent / loaded.path.parent, Path.cwd() / loaded.path.parent, Path.cwd()]
    first: InvalidInput | None = None
    for home in dict.fromkeys(home.resolve() for home in homes):
        try:
            for source in sources:
                column_names(source, home, csv_reading(loaded.settings.data, reading))
        except InvalidInput as error:
            first = first or error
        else:
            look_beside(home)
            return home
    assert first is not None
    raise InvalidInput(
        f"The data of {loaded.settings.name} ({', '.join(sources)}) is not here: {first.message}",
        "Say where it is with the pipeline file beside it: --data FILE.toml",
    )
