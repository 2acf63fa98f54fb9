"""The verdict of a verification, as JSON and in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tallystick.ledger.events.sentences import commit_range, count
from tallystick.ledger.verify.report import Verdict
from tallystick.tui.output.console import wrap
from tallystick.tui.output.escape import show

MOST_FINDINGS = 10


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict for programs."""
    return {
        "verdict": verdict.findings[0].kind if not verdict.holds else "VERIFIED" if verdict.verified else "PARTLY READ",
        "verified": verdict.verified,
        "exit_code": verdict.exit_code,
        "origin": verdict.origin,
        "commits": verdict.commits,
        "events": verdict.events,
        "read_from": verdict.read_from,
        "anchored_commits": verdict.anchored,
        "unanchored_events": verdict.unanchored_events,
        "unsigned_commits": verdict.unsigned_commits,
        "trusted": verdict.trusted,
        "findings": verdict.findings,
        "warnings": verdict.warnings,
        "shortfalls": verdict.shortfalls,
        "checks": [{"part": part, "result": result} for part, result in verdict.lines],
    }


def verdict_text(verdict: Verdict) -> Iterator[tuple[str, bool]]:
    """The verdict line by line, and whether a line is the verdict itself: on failure first, with the first bad place;
    on success last."""
    if not verdict.holds:
        yield from _findings_text(verdict)
    for part, result in verdict.lines:
        yield f"{part:<10}{show(result)}", False
    for warning in verdict.warnings:
        yield wrap(f"note: {warning}"), False
    for shortfall in verdict.shortfalls:
        yield wrap(f"short of what was asked: {shortfall}"), False
    if verdict.holds:
        yield f"VERDICT   {_verdict_words(verdict)}", True


def _verdict_words(verdict: Verdict) -> str:
    if verdict.read_from:
        unread = commit_range(0, verdict.read_from - 1)
        found = (
            "nothing is new"
            if verdict.read_from == verdict.commits
            else (f"{commit_range(verdict.read_from, verdict.commits - 1)} contradict nothing")
        )
        return f"PARTLY READ: {found}; {unread} were NOT read (tally verify reads everything)"
    said = "VERIFIED" + (", but less than was asked for" if verdict.shortfalls else "")
    if verdict.unsigned_commits:
        said += f"; the newest {count(verdict.unsigned_commits, 'commit')} NOT signed"
    if not verdict.anchored:
        return f"{said}; nothing outside this account vouches for it: rollback NOT excluded"
    if not verdict.unanchored_events:
        return f"{said}; anchored outside up to the newest event"
    return f"{said}; the newest {count(verdict.unanchored_events, 'event')} not yet anchored outside"


def _findings_text(verdict: Verdict) -> Iterator[tuple[str, bool]]:
    first = verdict.findings[0]
    yield f"NOT VERIFIED: {first.kind} at {show(first.where)}", True
    for index, finding in enumerate(verdict.findings[:MOST_FINDINGS]):
        yield wrap(finding.words if index == 0 else f"{finding.kind}: {finding.words}", "  "), False
        if finding.expected:
            yield f"    expected {show(finding.expected)}", False
        if finding.actual:
            yield f"    found    {show(finding.actual)}", False
        for line in finding.proof:
            yield f"    {show(line)}", False
        if finding.next:
            yield wrap(f"Next: {finding.next}", "    "), False
    if len(verdict.findings) > MOST_FINDINGS:
        yield f"  … and {len(verdict.findings) - MOST_FINDINGS} more (--json lists all)", False
    yield wrap(f"Still trusted: {'; '.join(verdict.trusted)}.", "  "), False
    yield "", False
