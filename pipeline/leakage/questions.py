"""Questions that a run asks: at most one for each feature, answered by a named person or open.

An answer stands in the pipeline file before the run, or is recorded afterwards. It covers the checks that it names;
those that ask the same in other words (:data:`SAME`) count as one. It lapses when the feature leaves much less of the
uncertainty than it did when it was answered: then it is another feature under the old name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import msgspec

from tallystick.ledger.events import types as say
from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import Check
from tallystick.ledger.query.snapshot import Snapshot
from tallystick.pipeline.config.settings import Pipeline

RUN = "(run)"
"""What a question is about that concerns no single feature."""
ANSWER = "the answer itself"
"""A feature that leaves next to nothing: its explanation needs a second name."""
SAME = frozenset(
    {
        ANSWER, "tells more than all others", "ranks better", "adds more than all others",
        "filled afterwards", "a value tells", "number of the row",
    }
)  # fmt: skip
"""Checks that ask the same: is it known in time? One answer covers them all."""
SHORTEST_WHY = 20
LAPSES_SHARE = 0.75
LAPSES_ERRORS = 3.09


class Given(NamedTuple):
    """An answer, and what the feature left when it was given."""

    answer: say.LeakAnswer
    checks: frozenset[str]
    left: float | None
    left_error: float | None


def questions_of(checks: Sequence[Check]) -> dict[str, list[Check]]:
    """What is asked about each feature, the answer itself first; a feature with a failure needs no question."""
    failed = {check.subject for check in checks if check.result == "fail"}
    found: dict[str, list[Check]] = {}
    for check in checks:
        if check.result == "look" and check.subject not in failed:
            found.setdefault(check.subject or RUN, []).append(check)
    order = sorted(found, key=lambda name: all(check.check != ANSWER for check in found[name]))
    return {name: found[name] for name in order}


def asked(checks: Sequence[Check], given: Mapping[str, Sequence[Given]]) -> list[say.LeakQuestion]:
    """Every question of a run with what answers it."""
    made = []
    for subject, found in questions_of(checks).items():
        looks = sorted(found, key=lambda check: check.check != ANSWER)
        names = list(dict.fromkeys(check.check for check in looks))
        left = next((check.facts["left"] for check in looks if check.facts.get("left") is not None), None)
        error = next((check.facts["left_error"] for check in looks if check.facts.get("left") is not None), None)
        question = say.LeakQuestion(
            subject=subject, checks=names, sentence=looks[0].sentence, left=left, left_error=error, answers=[],
            open_because=None,
        )  # fmt: skip
        made.append(answered(question, given.get(subject, ())))
    return made


def answered(question: say.LeakQuestion, given: Sequence[Given]) -> say.LeakQuestion:
    """A question with the answers that hold, or with why they do not."""
    if question.answers or not given:
        return question
    fresh = [item for item in given if not _lapsed(item, question)]
    because = None
    if not fresh:
        because = (
            f"The answer of {given[-1].answer.by} has lapsed: {question.subject} leaves {question.left or 0.0:.0%} of "
            f"the uncertainty now, and left {given[-1].left or 0.0:.0%} then."
        )
    elif open_checks := [name for name in question.checks if not any(_covers(item, name) for item in fresh)]:
        because = f"It was answered for other checks; nobody has answered {', '.join(open_checks)}."
    elif ANSWER in question.checks and len(_people(fresh)) < 2:
        because = f"{fresh[0].answer.by} has answered; it looks like the answer itself, so a second name is needed."
    if because is not None:
        return msgspec.structs.replace(question, open_because=because)
    return msgspec.structs.replace(question, answers=[item.answer for item in fresh])


def _covers(item: Given, check: str) -> bool:
    return check in item.checks or (check in SAME and bool(item.checks & SAME))


def _people(given: Iterable[Given]) -> set[str]:
    names = {name for item in given for name in (item.answer.by, item.answer.second) if name}
    return {name.strip().casefold() for name in names}


def _lapsed(item: Given, question: say.LeakQuestion) -> bool:
    if item.left is None or question.left is None:
        return False
    error = math.hypot(item.left_error or 0.0, question.left_error or 0.0)
    return question.left < LAPSES_SHARE * item.left and item.left - question.left > LAPSES_ERRORS * error


def open_questions(questions: Sequence[say.LeakQuestion]) -> list[say.LeakQuestion]:
    """Those that nobody has answered so that it holds."""
    return [question for question in questions if not question.answers]


# Answers that were given -----------------------------------------------------------------------------------


def judgements(now: Snapshot, pipeline: str) -> list[say.LeakageJudged]:
    """What earlier runs of a pipeline asked, oldest first."""
    found = now.counted_events(types=[say.LeakageJudged.TYPE], names=[pipeline])
    bodies = (entry.event.body for entry in found)
    return [body for body in bodies if isinstance(body, say.LeakageJudged) and body.pipeline == pipeline]


def recorded_answers(now: Snapshot, pipeline: str) -> dict[str, list[Given]]:
    """Answers that people recorded, by feature, oldest first."""
    found: dict[str, list[Given]] = {}
    for entry in now.counted_events(types=[say.QuestionAnswered.TYPE], names=[pipeline]):
        body = cast("say.QuestionAnswered", entry.event.body)
        if body.pipeline == pipeline:
            answer = say.LeakAnswer(why=body.why, by=body.by, second=body.second, where="ledger")
            given = Given(answer, frozenset(body.checks), body.left, body.left_error)
            found.setdefault(body.subject, []).append(given)
    return found


def given_answers(now: Snapshot, settings: Pipeline) -> dict[str, list[Given]]:
    """All answers that hold for the next run of a pipeline: those of its file, and those recorded.

    What a feature left when an answer stood in the file first is what the first run with that answer measured.
    """
    found = {name: list(items) for name, items in recorded_answers(now, settings.name).items()}
    before = judgements(now, settings.name) if settings.leakage is not None else []
    for subject, item in (settings.leakage.explained if settings.leakage is not None else {}).items():
        answer = say.LeakAnswer(why=item.why, by=item.by, second=item.second, where="file")
        first = next(
            (
                question
                for body in before
                for question in body.questions
                if question.subject == subject and answer in question.answers
            ),
            None,
        )
        left, error = (None, None) if first is None else (first.left, first.left_error)
        found.setdefault(subject, []).append(Given(answer, frozenset(item.checks), left, error))
    return found


def provisional(questions: Sequence[say.LeakQuestion]) -> str:
    """What follows the headline of a choice while questions are open."""
    number = len(open_questions(questions))
    return f" Provisional: {count(number, 'question')} open." if number else ""


def not_judged(checks: Sequence[Check], questions: Sequence[say.LeakQuestion]) -> str:
    """What a decision says where the pipeline file has no leakage gate."""
    failed = sum(check.result == "fail" for check in checks)
    number = len(open_questions(questions))
    return (
        f"Leaks were not judged, because the pipeline file has no leakage gate: {count(failed, 'check')} failed, "
        f"{count(number, 'question')} open."
    )
