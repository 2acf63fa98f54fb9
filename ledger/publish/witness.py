"""Asking a witness: c2sp.org/tlog-witness over HTTP, when asked to."""

from __future__ import annotations

import datetime as dt
import re

from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.events.commit import from_micros
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.publish.http_exchange import exchange
from tallystick.ledger.storage import tree
from tallystick.ledger.tlog.cosignature import Cosigned, WitnessKey, check_cosignature
from tallystick.ledger.tlog.note import Note, Signature, parse_receipt, to_base64

TIMEOUT_SECONDS = 30.0
"""For a whole question and its answer, however slowly it comes."""
LARGEST_ANSWER_BYTES = 1 << 16
CLOCK_TOLERANCE = dt.timedelta(hours=1)
"""How far a witness's clock may be from this machine's."""


def ask(ledger: Ledger, url: str, key: WitnessKey, old: int = 0) -> tuple[str, Cosigned]:
    """Have a witness cosign the newest checkpoint.

    Parameters
    ----------
    url : str
        The witness's submission prefix; ``/add-checkpoint`` is added.
    old : int
        Size that the witness cosigned last, as far as known; it corrects a wrong one.

    Returns
    -------
    (str, Cosigned)
        The checkpoint note with the cosignature under it, and when the witness says it signed.

    Raises
    ------
    Refused
        When the witness answers that it will not, which may mean that it has seen another history.
    InvalidInput
        When it cannot be reached or does not speak the protocol.
    Damaged
        When what it signed is not our checkpoint, or its time is later than now or earlier than the newest commit.
    """
    if not url.startswith(("https://", "http://")):
        raise InvalidInput(f"{url!r} is not the address of a witness.", "It begins with https:// or http://.")
    note = ledger.checkpoint()
    size = parse_receipt(note).checkpoint.size
    status, body = _post(ledger, url, note, min(old, size))
    if status == 409:
        known = _size(body)
        if known == min(old, size) or known > size:
            raise Refused(
                f"The witness {key.name} has seen {known} commits of this ledger, which has {size}.",
                "It was shown another history, or this copy is behind: tally verify",
            )
        status, body = _post(ledger, url, note, known)
    if status != 200:
        raise _refusal(status, body, key)
    parsed = Note.parse(note)
    for line in body.decode(errors="replace").splitlines():
        signature = _signature(line)
        if signature is not None and (signature.name, signature.key_id) == (key.name, key.key_id):
            cosigned = check_cosignature(signature, key, parsed.text)
            _check_time(ledger, size, cosigned)
            return Note(parsed.text, (*parsed.signatures, signature)).format(), cosigned
    raise Damaged(f"The answer holds no cosignature by {key.name} ({key.key_id.hex()}).")


def _check_time(ledger: Ledger, size: int, cosigned: Cosigned) -> None:
    """The time of a cosignature lies between the newest commit under it and now, give or take the clocks' difference.

    Outside of that it bounds nothing: a later one could have been signed today for next year, an earlier one says that
    the commit was seen before it was made.
    """
    recorded_at, now = from_micros(ledger.log.commit(size - 1).recorded_at), ledger.clock()
    if recorded_at - CLOCK_TOLERANCE <= cosigned.at <= now + CLOCK_TOLERANCE:
        return
    wrong = "later than now" if cosigned.at > now else f"earlier than the commit of {recorded_at:%Y-%m-%d %H:%M} UTC"
    raise Damaged(
        f"The cosignature by {cosigned.key.name} has the time {cosigned.at:%Y-%m-%d %H:%M} UTC, {wrong}. "
        "It was not recorded.",
        "Compare this machine's clock with another; if it is right, ask the operator of the witness.",
    )


def _post(ledger: Ledger, url: str, note: str, old: int) -> tuple[int, bytes]:
    size = parse_receipt(note).checkpoint.size
    path = tree.consistency_path(ledger.log, old, size) if old else []
    body = f"old {old}\n" + "".join(f"{to_base64(step)}\n" for step in path) + f"\n{note}"
    try:
        return exchange(f"{url.rstrip('/')}/add-checkpoint", body.encode(), LARGEST_ANSWER_BYTES, TIMEOUT_SECONDS)
    except InvalidInput as error:
        raise InvalidInput(f"The witness did not answer: {error.message}", "Nothing was recorded.") from error


def _size(body: bytes) -> int:
    match = re.fullmatch(rb"(0|[1-9][0-9]{0,15})\n?", body)
    if match is None:
        raise InvalidInput("The witness refused without saying which size it knows.")
    return int(match[1])


def _refusal(status: int, body: bytes, key: WitnessKey) -> Refused:
    reasons = {
        400: "the request was malformed",
        403: "it does not accept the log's signature",
        404: "it does not know this ledger; its operator has to add it",
        409: "it has seen another state in the meantime; ask again",
        422: "the proof that this ledger continues what it saw does not hold: a FORK",
    }
    said = body.decode(errors="replace").strip()[:200]
    return Refused(
        f"The witness {key.name} refused ({status}): {reasons.get(status, 'no reason of the protocol')}."
        + (f" It says: {said}" if said else "")
    )


def _signature(line: str) -> Signature | None:
    try:
        return Note.parse(f"x\n\n{line}\n").signatures[0]
    except InvalidInput:
        return None
