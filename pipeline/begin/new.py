"""Begin a pipeline: from a table and what a person decides to a file that is sound and runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pyarrow as pa

from tallystick.ledger.errors import InvalidInput, Refused
from tallystick.ledger.system.files import write_whole
from tallystick.pipeline.begin import look as looking
from tallystick.pipeline.begin.answers import QUESTIONS, Answers, Look, Question, check_answer, settle, slug
from tallystick.pipeline.begin.draft import NewPipeline, draft
from tallystick.pipeline.begin.write import proposed_settings, text_of
from tallystick.pipeline.config.load import LoadedPipeline, parse
from tallystick.pipeline.config.settings import Csv

if TYPE_CHECKING:
    import pandas as pd

Ask = Callable[[Question, Look, Answers], Answers | None]
"""Asks a person; None where the person is not asked and the proposal stands as a proposal."""


class Begun(NamedTuple):
    """A pipeline file that was written."""

    file: Path
    draft: NewPipeline
    loaded: LoadedPipeline


def look_at(data: str, folder: Path, csv: Csv | None = None) -> Look:
    """Read a table and see what is in it.

    Parameters
    ----------
    csv : Csv, optional
        How its CSV files are written, as far as a person has said it.

    Raises
    ------
    InvalidInput
        Where there is no table, or it cannot be read.
    """
    source = looking.source_of(data, folder)
    table, csv, doubts = looking.read_doubtful(source, folder, csv)
    return Look(table, looking.look(table, source), csv, tuple(doubts))


def begin(look: Look, answers: Answers, file: Path | None, folder: Path, ask: Ask | None = None) -> Begun:
    """Decide what is open, and write the pipeline file.

    Parameters
    ----------
    file : Path, optional
        Where it is written; NAME.toml in ``folder`` where it is None.
    ask : callable, optional
        Asks a person; without it every open question is settled by its proposal, which the file lists as such.

    Raises
    ------
    InvalidInput
        Where a question is open that has no proposal, or an answer does not fit the table.
    Refused
        Where the file is there already.
    """
    from_proposals: list[str] = ["data.csv"] if look.doubts else []
    if answers.name is None and file is not None:
        answers = msgspec.structs.replace(answers, name=slug(file.stem))
    for question in QUESTIONS:
        said = ask(question, look, answers) if ask and getattr(answers, question.field) is None else None
        if said is None:
            answers, proposed = settle(look, answers, question)
            from_proposals += question.settings if proposed else ()
        else:
            answers = said
        check_answer(look, answers, question.field)
    made = draft(look, answers, [])
    made = made._replace(proposed=proposed_settings(from_proposals, made))
    path = file or folder / f"{answers.name}.toml"
    if path.exists():
        raise Refused(f"{path} is there already.", "Nothing was written. Choose another name: -o OTHER.toml")
    data = text_of(made).encode()
    loaded = parse(data, path)
    write_whole(path, data)
    return Begun(path, made, loaded)


def new(data: pd.DataFrame | str | Path, file: str | Path | None = None, **answers: object) -> LoadedPipeline:
    """Begin a pipeline from a table; a DataFrame is kept as parquet beside the file.

    Parameters
    ----------
    data : pandas.DataFrame, str or Path
        One row for each case, with the time of the case and its answer: a DataFrame, or what ``tally new`` takes (a
        CSV or parquet file, a folder of them, ``shop.db#visits``).
    file : str or Path, optional
        The pipeline file to write; NAME.toml in this folder where it is None. A DataFrame needs one.
    **answers
        What is decided, by the names of the options of ``tally new``: ``target="churned"``, ``label_delay="30d"``,
        ``known={"plan, age": "signup - 1d"}``. What is left open is proposed and listed in ``[proposed]``.

    Raises
    ------
    InvalidInput
        For an answer that does not fit the table, or a question that has no answer and no proposal.
    Refused
        Where the pipeline file or the table's file is there already.

    Examples
    --------
    >>> import pandas as pd
    >>> import tallystick
    >>> tallystick.new(frame, "churn.toml", target="churned", owner="ann")  # doctest: +SKIP
    """
    try:
        said = msgspec.convert(answers, Answers, strict=True)
    except msgspec.ValidationError as error:
        names = ", ".join(Answers.__struct_fields__)
        raise InvalidInput(f"These answers cannot be used: {error}.", f"They may say {names}.") from error
    path = None if file is None else Path(file)
    if isinstance(data, (str, Path)):
        folder = Path() if path is None else path.parent
        return begin(look_at(str(data), folder, said.csv), said, path, folder).loaded
    if path is None:
        raise InvalidInput(
            "A DataFrame is kept beside the pipeline file, so the file needs a name.",
            'Give it as the second argument: "churn.toml"',
        )
    return _new_from_frame(data, path, said)


def _new_from_frame(frame: pd.DataFrame, file: Path, said: Answers) -> LoadedPipeline:
    import pyarrow.parquet as pq

    kept = file.with_suffix(".parquet")
    for path in (file, kept):
        if path.exists():
            raise Refused(f"{path} is there already.", "Nothing was written. Choose another name.")
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    look = Look(table, looking.look(table, f"parquet:{kept.name}"))
    pq.write_table(table, kept)
    try:
        return begin(look, said, file, file.parent).loaded
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
