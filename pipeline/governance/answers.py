"""Answers to questions of the leakage checks: a named person says why a feature is known in time.

An answer is given before anybody has seen the sealed windows for the run's model: afterwards it would be an answer to
another question, whether the feature may stay because it did well.
"""

from __future__ import annotations

import json
import re

from tallystick.ledger import Appended
from tallystick.ledger.errors import InvalidInput, NotFound, Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.sentences import count
from tallystick.ledger.ledger import Ledger
from tallystick.pipeline.governance.evidence import leakage_of
from tallystick.pipeline.governance.gates import standing
from tallystick.pipeline.leakage.questions import SHORTEST_WHY, answered, recorded_answers


def answer(
    book: Ledger, run: str, subject: str, *, why: str, second: str | None = None
) -> tuple[say.QuestionAnswered, str | None, Appended]:
    """Record an answer, and what the gates of the run's model say now.

    Returns
    -------
    QuestionAnswered, str or None, Appended
        What was recorded; why the question is open all the same, where it is; and where it is.

    Raises
    ------
    NotFound
        For an unknown run, or one that asked nothing.
    InvalidInput
        For a reason that is too short, or a second name that is the first.
    Refused
        After a look at the sealed windows.
    """
    now = book.now()
    state = now.run(run)
    checked = leakage_of(now, state.run)
    asked = {item.subject: item for item in checked.questions} if isinstance(checked, say.LeakageJudged) else {}
    if subject not in asked:
        what = f"It asks about {', '.join(asked)}." if asked else "It asks nothing."
        raise NotFound(
            f"Run {state.run} has no question about {subject!r}. {what}", "tally show of the run lists them."
        )
    why, by = " ".join(why.split()), book.recorder.actor
    if len(why) < SHORTEST_WHY:
        raise InvalidInput(
            f"This why has fewer than {SHORTEST_WHY} characters, which explains nothing in a year.",
            'Say where the value comes from and when: --why "Booked load, frozen 24 h before departure."',
        )
    if second is not None and second.strip().casefold() == by.strip().casefold():
        raise InvalidInput(f"{by} cannot be the second name as well; it takes another person.")
    looks = [look for look in now.looks() if look.run == state.run]
    if looks:
        raise Refused(
            f"The sealed windows were looked at for run {state.run} ({count(len(looks), 'look')}); answers come first.",
            f"Write the answer into the pipeline file, [leakage.explained.{_toml_key(subject)}], and run it again: "
            "tally run FILE.toml",
        )
    question = asked[subject]
    body = say.QuestionAnswered(
        run=state.run, pipeline=state.pipeline, subject=subject, checks=question.checks, why=why, by=by, second=second,
        left=question.left, left_error=question.left_error,
    )  # fmt: skip
    appended = book.append(body)
    after = book.now()
    if state.model is not None:
        _, _, news = standing(after, after.model(state.model))
        if news:
            book.append(*news)
    known = answered(question, recorded_answers(after, state.pipeline).get(subject, ()))
    return body, known.open_because, appended


def _toml_key(name: str) -> str:
    """A name as a table's header takes it: quoted unless it is made of letters, digits, _ and - alone."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name, ensure_ascii=False)
