"""A watched period as one page of HTML: sentences first, graphs second; from what was recorded and nothing else."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from tallystick.ledger.events.sentences import count
from tallystick.ledger.events.types import FindingMade, PeriodJudged, PeriodMonitored, Reliability
from tallystick.pipeline.records.period_record import PeriodRecord, drawable, drawn_labels, paths_of
from tallystick.tui.output.period_text import change_words, signed
from tallystick.tui.output.svg_charts import bars, calibration, text_of, trajectory
from tallystick.tui.output.values import moment_words

STYLE = """
:root{--ink:#1c2126;--soft:#59636e;--line:#d4d9de;--paper:#fff;--band:#e8edf2;--mark:#0b5cad;--own:#8b96a1;
--notable:#8a5a00;--alarm:#a61b1b;--normal:#2b6a3b}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--soft:#a3adb7;--line:#3a424a;--paper:#15181b;--band:#252b31;
--mark:#6db3f8;--own:#77828d;--notable:#e2b04a;--alarm:#ff8a80;--normal:#7fcf95}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
main{max-width:64rem;margin:0 auto;padding:1.25rem}
h1{font-size:1.5rem;line-height:1.25;margin:.2rem 0 .6rem}h2{font-size:1.05rem;margin:2rem 0 .6rem}
h3{font-size:.95rem;margin:0 0 .3rem;font-weight:600}
.meta,.tick,small{color:var(--soft)}.meta{font-size:.9rem;margin:0}
.replayed{border:2px solid var(--notable);padding:.3rem .6rem;font-weight:600}
.next{border-left:4px solid var(--mark);padding:.4rem .8rem;background:var(--band);font-weight:600}
ol{list-style:none;padding:0;margin:0}li{border-top:1px solid var(--line);padding:.6rem 0}
li p{margin:0}details{margin-top:.2rem}summary{cursor:pointer;color:var(--soft);font-size:.85rem}
.level{font-size:.8rem;font-weight:600}.level.notable{color:var(--notable)}.level.alarm{color:var(--alarm)}
.level.normal{color:var(--normal)}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(18rem,100%),1fr));gap:1.5rem}
figure{margin:0;min-width:0;break-inside:avoid}figcaption{color:var(--soft);font-size:.85rem}
svg{width:100%;max-width:26rem;height:auto;display:block}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .name{fill:var(--ink)}
.band{fill:var(--band)}.axis{stroke:var(--own);stroke-width:1}.line{fill:none;stroke:var(--own);stroke-width:1}
.own{fill:var(--own)}.now{fill:var(--mark)}.gap{stroke:var(--mark);stroke-width:1}.more{fill:var(--mark)}
.less{fill:var(--own)}
table{border-collapse:collapse;width:100%;font-size:.85rem}
td,th{text-align:left;vertical-align:top;padding:.15rem .6rem .15rem 0;width:50%}td{font-variant-numeric:tabular-nums}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--band:#eee;--mark:#0b5cad;--own:#777}
body{font-size:11pt}main{max-width:none;padding:0}details>summary{display:none}}
"""

STATISTICS = {
    "loss": ("Loss", "smaller is better", False),
    "extra_loss": ("Extra loss", "beyond what its own probabilities expect at this level", True),
    "level": ("Level", "how far all predictions are off together, in log-odds or in usual errors", True),
    "auc": ("AUC", "how well it ranks; larger is better", False),
    "ranking": ("Ranking", "how far differences of outcomes fall short of those predicted", True),
    "spread": ("Spread", "how much larger the errors are than such rows had", True),
}
BEFORE = {**STATISTICS, "level": ("Level", "mean prediction less observed", True)}
"""The same for looks of the first form."""
FIRST_RULE = "own windows 1"
MOST_FACTS = 200
MOST_BARS = 10
SAME_TIME = dt.timedelta(days=1)
"""Labels known so shortly before the look are all that were known."""


def page(record: PeriodRecord, zone: ZoneInfo, *, origin: str, replayed: bool) -> str:
    """The whole page. Equal records give equal bytes.

    Parameters
    ----------
    zone : ZoneInfo
        In which times are written.
    origin : str
        Name of the ledger.
    replayed : bool
        Whether the ledger's clock was replayed.
    """
    body = record.body
    title = f"{body.model} in {body.label}"
    known_rows = body.rows - body.immature_rows
    looks = "" if record.looks == 1 else f"; look {record.looks}, the first was {moment_words(record.first_at, zone)}"
    head = [
        f"{known_rows:,} of {body.rows:,} rows with a known label{as_if_words(record, zone)}, from {body.source}.",
        f"Compared with the model's own {len(body.history)} windows: {', '.join(body.history) or 'none yet'}.",
        judged_by(body),
        f"Recorded {moment_words(record.recorded_at, zone)} by {record.actor}, {late_words(record)}{looks}.",
        f"Event #{record.seq} in commit {record.commit} of ledger {origin}; made of nothing that was recorded later.",
    ]
    findings = "".join(_finding(item) for item in record.findings)
    charts = _charts(body.facts, body.reliability)
    status = f'<span class="level {_tone(body.status)}">{text_of(body.status)}</span>'
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        '<link rel="icon" href="data:,">'
        f"<title>{text_of(title)}</title><style>{STYLE}</style></head><body><main>"
        + ('<p class="replayed">REPLAYED CLOCK: this ledger lives a past again.</p>' if replayed else "")
        + f'<p class="meta">{text_of(title)} · {status}</p>'
        f"<h1>{text_of(body.headline)}</h1>"
        f'<p class="next">{text_of(body.suggestion)}</p>'
        + f"<h2>What was found</h2><ol>{findings}</ol>"
        + (f'<h2>In pictures</h2><div class="charts">{charts}</div>' if charts else "")
        + "<h2>Where this comes from</h2>"
        + "".join(f'<p class="meta">{text_of(line)}</p>' for line in head)
        + "</main></body></html>\n"
    )


def judged_by(body: PeriodMonitored) -> str:
    """The rule that judged a look, with its version."""
    return f"Judged by the rule “{body.rule if isinstance(body, PeriodJudged) else FIRST_RULE}”."


def late_words(record: PeriodRecord) -> str:
    """``known 41 days late``."""
    days = record.late.days
    return "before the period had ended" if days < 0 else f"known {count(days, 'day')} late"


def as_if_words(record: PeriodRecord, zone: ZoneInfo) -> str:
    """`` as if it were …``, where labels that were known later were left out on purpose."""
    until = record.body.labels_as_of
    if record.recorded_at - until < SAME_TIME:
        return ""
    return f" as if it were {moment_words(until, zone)}"


def _tone(status: str) -> str:
    return {"quiet": "normal", "waiting": "normal", "not judged": "normal"}.get(status, status)


def _finding(item: FindingMade) -> str:
    rows = "".join(
        f"<tr><th>{text_of(name)}</th><td>{text_of(value)}</td></tr>" for name, value in flat(item.facts)[:MOST_FACTS]
    )
    return (
        f'<li><p>{text_of(item.sentence)}</p><p class="level {item.level}">{text_of(item.code)} · {item.level}</p>'
        f"<details><summary>the numbers behind it</summary><table>{rows}</table></details></li>"
    )


def flat(facts: Any, name: str = "") -> list[tuple[str, str]]:
    """Facts as lines: the path to a number, and the number."""
    if isinstance(facts, dict):
        return [line for key, value in facts.items() for line in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(facts, list) and any(isinstance(item, dict | list) for item in facts):
        return [line for index, item in enumerate(facts) for line in flat(item, f"{name}[{index}]")]
    if isinstance(facts, list):
        return [(name, ", ".join(_value(item) for item in facts) or "none")]
    return [(name, _value(facts))]


def _value(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _charts(facts: dict[str, Any], reliability: list[Reliability]) -> str:
    facts = drawable(facts)
    if not facts:
        return ""
    found = []
    labels = drawn_labels(facts)
    for path in paths_of(facts):
        title, words, has_zero = (STATISTICS if path.foretold else BEFORE)[path.name]
        band = None if path.low is None and path.high is None else (path.low, path.high)
        if band is not None:
            words += (
                "; the band is what its own windows let us expect" if path.foretold else "; the band is the own range"
            )
        drawn = trajectory(title, labels, path.values, signed=has_zero, unit="", band=band)
        if empty := [label for label in facts.get("empty_windows", []) if label in labels]:
            words += f"; no rows in {', '.join(empty)}, as declared"
        found.append(_figure(title, drawn, words))
    if reliability:
        drawn = calibration(
            [item.mean_predicted for item in reliability],
            [item.observed for item in reliability],
            [item.rows for item in reliability],
        )
        found.append(_figure("Calibration", drawn, "ten bins of rows; on the line the predictions are honest"))
    for item in facts["decompositions"]:
        levels = sorted(item["levels"], key=lambda level: -abs(level["inside"] + level["mix"]))[:MOST_BARS]
        drawn = bars(
            f"Change of the loss by {item['segment']}",
            [
                (level["level"], level["inside"] + level["mix"], signed(level["inside"] + level["mix"]))
                for level in levels
            ],
        )
        words = change_words(item, MOST_BARS)
        found.append(_figure(f"Change by {item['segment']}", drawn, words))
    outside = sorted(facts["movements"], key=lambda item: -item["psi"])[:MOST_BARS]
    if outside:
        drawn = bars(
            "Features against their own past",
            [(item["feature"], item["psi"] - item["own_highest"], f"{item['psi']:.2f}") for item in outside],
        )
        found.append(_figure("Features", drawn, "PSI, drawn from each feature's own past maximum"))
    return "".join(found)


def _figure(title: str, drawn: str, words: str) -> str:
    return f"<figure><h3>{text_of(title)}</h3>{drawn}<figcaption>{text_of(words)}</figcaption></figure>"
