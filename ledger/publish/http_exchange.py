"""One question over HTTP and its answer: bounded in time and size, to the given address only."""

from __future__ import annotations

import queue
import threading
import urllib.error
import urllib.request
from typing import Any

from tallystick.ledger.errors import InvalidInput


def exchange(url: str, body: bytes | None, most_bytes: int, seconds: float) -> tuple[int, bytes]:
    """Status and the first bytes of an answer; GET without a body, POST with one. Redirects are not followed.

    Raises
    ------
    InvalidInput
        When the server cannot be reached, does not speak HTTP, or has not answered whole after ``seconds``.
    """
    answers: queue.Queue[tuple[int, bytes] | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answers.put(_asked(url, body, most_bytes, seconds))
        except Exception as error:  # noqa: BLE001 - whatever a library makes of a broken answer is told to who asked
            answers.put(error)

    # In a thread of its own, because a limit on sockets begins anew with every byte that a slow server sends.
    threading.Thread(target=ask, name="http", daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise InvalidInput(f"{url} did not answer within {seconds:g} seconds.") from None
    if isinstance(answer, Exception):
        reason = str(answer) or type(answer).__name__
        raise InvalidInput(f"{url} cannot be asked: {reason[:200]}.")
    return answer


def _asked(url: str, body: bytes | None, most_bytes: int, seconds: float) -> tuple[int, bytes]:
    request = urllib.request.Request(url, body, method="GET" if body is None else "POST")
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=seconds) as answer:
            return int(answer.status), answer.read(most_bytes)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(most_bytes)


class _Stay(urllib.request.HTTPRedirectHandler):
    """Only the address that was given is talked to."""

    def redirect_request(self, *_arguments: Any, **_more: Any) -> None:
        return None
