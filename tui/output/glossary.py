"""The terms of the product, one sentence each: what `tally help TERM` prints.

Code, command line, app and documents use these words and no others for these things.
"""

from __future__ import annotations

GLOSSARY: dict[str, str] = {
    "anchor": "A record of where a receipt is kept outside the ledger, or of a witness that cosigned it.",
    "append": "To write events at the end of the log in one commit; nothing that was written is changed later.",
    "approval": "A signature under a decision, made with a person's own key.",
    "as of": "A past moment at which a question is answered: only what had been recorded by then counts.",
    "bundle": "A folder that proves events of the ledger to an outsider who has no access to it.",
    "candidate": "A recipe with its parameters that a run judges against the others.",
    "challenger": "A model that is judged against the champion, in the same windows.",
    "champion": "The model that makes the decisions of its pipeline at a given date.",
    "checkpoint": "The signed size and root hash of the log's Merkle tree.",
    "commit": "The events that one append wrote together, with their author, time and hash.",
    "correction": "An event that takes another event out of account from then on, with a reason; nothing is removed.",
    "data slice": "The rows and columns that a run read, with their source, period and content hash.",
    "decision": "What a run's rule chose and why, or a promotion, refusal or rollback of a model.",
    "drift": "A change of the live data or of the model's errors against the model's own history.",
    "event": "One recorded fact, immutable and identified by its hash.",
    "gate": "A condition from the pipeline file that a model must pass before it is promoted.",
    "inclusion proof": "The hashes that show that an event is in the tree of a checkpoint.",
    "label delay": "The time between a row and the moment at which its true answer is known.",
    "ledger": "The append-only log of a team, in the folder .tally, with its artifacts.",
    "lineage": "What an entity was made from and what was made from it.",
    "pipeline": "One question, asked repeatedly, with its data, candidates, rules and gates; one file describes it.",
    "projection": "A table computed from events alone, which can be computed again at any time.",
    "proposed setting": "A setting that a program chose and no person has confirmed; a promotion needs it confirmed.",
    "question": "What a leakage check asks a person about a feature that stands out; a promotion waits for the answer.",
    "receipt": "One line that states and signs the state of the ledger, to be kept elsewhere.",
    "redaction": "The erasure of an event's content; its place and hash stay, so that everything else is still proved.",
    "reference": "The simple candidate that every other candidate must beat.",
    "run": "One execution of a pipeline: slice, train, evaluate in time, decide.",
    "sealed windows": "The last windows, held back from every choice; a final test evaluates a model on them.",
    "trial": "What a notebook or training loop recorded: parameters, numbers and files.",
    "validity": "The period for which a model was approved; outside it the model does not predict.",
    "waiver": "A dated exception that excuses a model from one gate, with a reason, an owner and an end.",
    "walk-forward": "Evaluation in time: each window is predicted by a model that learned from earlier data only.",
    "witness": "A third party that signs checkpoints and refuses one that contradicts those it signed earlier.",
}
"""Term and definition, in alphabetical order."""


def definition(term: str) -> tuple[str, str] | None:
    """The term as the glossary writes it and its definition; letter case, hyphens and a plural s do not matter."""
    wanted = _plain(term)
    for known, sentence in GLOSSARY.items():
        if _plain(known) in (wanted, wanted.removesuffix("s")) or _plain(known).removesuffix("s") == wanted:
            return known, sentence
    return None


def _plain(term: str) -> str:
    return term.casefold().replace("-", " ").strip()
