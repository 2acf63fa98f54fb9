"""Asking a witness: c2sp.org/tlog-witness over HTTP. The only place in the ledger that uses the network, when asked."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from typing import Any

from tallystick.ledger.errors import Damaged, InvalidInput, Refused
from tallystick.ledger.ledger import Ledger
from tallystick.ledger.tlog import merkle
from tallystick.ledger.tlog.cosignature import Cosigned, WitnessKey, check_cosignature
from tallystick.ledger.tlog.note import Note, Signature, parse_receipt, to_base64

TIMEOUT_SECONDS = 30.0
LARGEST_ANSWER_BYTES = 1 << 16


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
        When what it signed is not our checkpoint.
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
            return Note(parsed.text, (*parsed.signatures, signature)).format(), cosigned
    raise Damaged(f"The answer holds no cosignature by {key.name} ({key.key_id.hex()}).")


def _post(ledger: Ledger, url: str, note: str, old: int) -> tuple[int, bytes]:
    size = parse_receipt(note).checkpoint.size
    path = merkle.consistency_path(old, size, ledger.subtree) if old else []
    body = f"old {old}\n" + "".join(f"{to_base64(step)}\n" for step in path) + f"\n{note}"
    try:
        request = urllib.request.Request(f"{url.rstrip('/')}/add-checkpoint", body.encode(), method="POST")
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_SECONDS) as answer:
            return int(answer.status), answer.read(LARGEST_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        return error.code, error.read(LARGEST_ANSWER_BYTES)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise InvalidInput(f"The witness at {url} cannot be reached: {error}.", "Nothing was recorded.") from error


class _Stay(urllib.request.HTTPRedirectHandler):
    """Only the address that was given is talked to."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None


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
