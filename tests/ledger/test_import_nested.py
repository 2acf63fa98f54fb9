"""Names read under two others, where an imported ledger had imported a third: ``ann/carl/p`` was ``p`` for Carl."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from histories import promoted, registered
from older import set_aside
from stories import told

from tallystick import ledger
from tallystick.ledger.amend.redaction import redact
from tallystick.ledger.errors import Refused
from tallystick.ledger.events import types as say
from tallystick.ledger.events.unknown import Unknown
from tallystick.ledger.importing.importer import import_history
from tallystick.ledger.query.event_search import Stretch, find_events
from tallystick.ledger.verify.verify import verify


@pytest.fixture
def ann(tmp_path: Path) -> Iterator[ledger.Ledger]:
    with (
        ledger.create(tmp_path / "carl", timezone="UTC", key_home="file") as carl,
        ledger.create(tmp_path / "ann", timezone="UTC", key_home="file") as made,
    ):
        told(carl).checkpoint()
        told(made)
        import_history(made, tmp_path / "carl", named_under="carl")
        made.checkpoint()
        yield made


def promotion(book: ledger.Ledger, model: str) -> int:
    (seq,) = (
        e.seq for e in book.events() if isinstance(e.event.body, say.ModelPromoted) and e.event.body.model == model
    )
    return seq


def _set_aside(book: ledger.Ledger, seq: int) -> object:
    return set_aside(book, seq, "a mistake")


def _erase(book: ledger.Ledger, seq: int) -> object:
    return redact(book, seq, "a mistake", "a law")


@pytest.mark.parametrize("change", [_set_aside, _erase], ids=["corrected", "erased"])
def test_what_follows_from_an_event_is_found_by_the_names_that_it_has_here(
    change: Callable[[ledger.Ledger, int], object], book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    """Its body says ``p-v1`` alone; who looks for ``carl/p-v1`` misses it, and the views would not change."""
    told(book)
    import_history(book, ann.folder, named_under="ann")
    champion = book.now().champion("ann/carl/p")
    assert champion is not None and champion.model == "ann/carl/p-v1"
    change(book, promotion(book, "ann/carl/p-v1"))
    left, model = book.now().champion("ann/carl/p"), book.now().model("ann/carl/p-v1")
    if change is _set_aside:
        assert (left, model.status) == (None, "candidate")
    else:  # who was promoted stays known, and why does not
        assert (left, model.status) == (model, "champion")
        assert isinstance(model.reason, Unknown)
    for other in ("p", "ann/p"):
        assert book.now().champion(other) is not None
    verdict = verify(book)
    assert verdict.findings == []
    assert dict(verdict.lines)["views"] == "rebuilt and identical"


@pytest.mark.parametrize("model", ["p-v1", "ann/p-v1", "ann/carl/p-v1", "other/p-v1", "ANN/P-V1"])
def test_the_apps_filter_tells_them_apart(model: str, book: ledger.Ledger, ann: ledger.Ledger, tmp_path: Path) -> None:
    import_history(book, ann.folder, named_under="ann")
    with ledger.create(tmp_path / "other", timezone="UTC", key_home="file") as other:
        told(other).checkpoint()
    import_history(book, tmp_path / "other", named_under="other")
    text = f"type:model.promoted entity:model:{model}"
    now = book.now()
    shown = list(find_events(now, text, Stretch(0, now.as_of.seq)))
    # Nothing says what an event without a prefix is about but its body: `p-v1` finds them all, as it always did.
    if "/" in model:
        assert shown == [promotion(book, model.lower())]
    else:
        assert len(shown) == 3


def test_names_taken_since_are_said_without_advice_that_would_be_refused(
    book: ledger.Ledger, ann: ledger.Ledger
) -> None:
    import_history(book, ann.folder, named_under="ann")
    book.append(registered("ann/q"), promoted("ann/q-v1", "ann/q", None))
    ann.append(registered("q"), sign=True)
    with pytest.raises(Refused, match="pipeline ann/q") as error:
        import_history(book, ann.folder)
    assert error.value.hint is not None and "--as" not in error.value.hint
