"""What the ledger knows of the entities of a store, and whether it knows it from an import."""

from __future__ import annotations

from tallystick.ledger.events.commit import decode_head
from tallystick.ledger.exchange.from_mlflow.held import Tags
from tallystick.ledger.ledger import Ledger

NOTE = "import from MLflow: "
"""How the remark of each commit begins that an import writes."""


class KnownBefore:
    """The ledger as it was when the import began.

    Attributes
    ----------
    kept : list of str
        What was changed here since it was imported, and differs from the store: it stays as it is here.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.now = ledger.now()
        self.seq = self.now.as_of.seq
        self.experiments = {state.experiment: state for state in self.now.experiments()}
        self.trials = {state.trial: state for state in self.now.trials(removed=True)}
        self.kept_models = {state.logged: state for state in self.now.logged_models()}
        self.registered = {state.registered: state for state in self.now.registered_models()}
        self.kept: list[str] = []
        self._imports: dict[int, bool] = {}

    def is_imported(self, seq: int) -> bool:
        """Whether an event was recorded by an import from MLflow."""
        commit = self._ledger.log.commit_of(seq)
        if commit.n not in self._imports:
            self._imports[commit.n] = (decode_head(commit.head).note or "").startswith(NOTE)
        return self._imports[commit.n]

    def may_follow(self, seq: int, what: str) -> bool:
        """Whether the store's word replaces the ledger's: not where somebody recorded another since the import."""
        if self.is_imported(seq):
            return True
        self.kept.append(what)
        return False

    def tag_changes(self, owner: str, held: Tags) -> tuple[Tags, list[str]]:
        """The tags to be set and to be removed, so that an entity has those of the store."""
        states = self.now.tag_states(owner)
        added = {
            name: value
            for name, value in held.items()
            if name not in states
            or (states[name].value != value and self.may_follow(states[name].seq, f"{owner}: tag {name}"))
        }
        gone = [name for name, state in states.items() if state.value is not None and name not in held]
        return added, [name for name in gone if self.is_imported(states[name].seq)]
