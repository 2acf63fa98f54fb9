"""Patterns for SQL's ``LIKE``."""

from __future__ import annotations


def containing(text: str) -> str:
    r"""The pattern that matches every text which contains ``text``, for ``LIKE ? ESCAPE '\'``.

    Examples
    --------
    >>> containing("50%")
    '%50\\%%'
    """
    for special in ("\\", "%", "_"):
        text = text.replace(special, f"\\{special}")
    return f"%{text}%"
