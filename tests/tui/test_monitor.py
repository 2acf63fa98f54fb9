"""Watching a champion as a person does: real processes on the real sample, the page in a real browser."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from given import FIXTURES
from judged import let_through
from shell import Answer, tally

from tallystick import ledger
from tallystick.ledger.events import types as say

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
Home = dict[str, str]


def pipeline_file(folder: Path, **changes: str) -> Path:
    text = (FIXTURES / "late-arrivals.toml").read_text()
    text = re.sub(r"\[candidates\.(big_trees|logistic)\].*?(?=\[(selection|candidates))", "", text, flags=re.DOTALL)
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "late.toml").write_text(text)
    return folder / "late.toml"


@pytest.fixture(scope="module")
def september(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Home]:
    """A champion made of what was known at the end of September 2013; nobody has watched it yet."""
    folder = tmp_path_factory.mktemp("september")
    home = tmp_path_factory.mktemp("home")
    environment = {
        "XDG_CONFIG_HOME": str(home / "c"),
        "XDG_STATE_HOME": str(home / "s"),
        "TALLY_ACTOR": "ann@example.org",
    }
    shutil.copy(FIXTURES / "late-arrivals.parquet", folder)
    pipeline_file(folder)
    early = tally(folder, "monitor", "late.toml", "--period", "2013-10", **environment)
    assert early.code == 4
    assert "There is no ledger" in early.err
    done = tally(folder, "run", "late.toml", "--labels-as-of", "2013-09-30", "--workers", "1", "--json", **environment)
    assert done.code == 0, done.err
    assert [window["label"] for window in done.json["windows"]] == [f"2013-{month:02d}" for month in range(4, 10)]
    nobody = tally(folder, "monitor", "late.toml", "--period", "2013-10", **environment)
    assert nobody.code == 4
    assert "no champion to watch" in nobody.err
    let_through(folder, "late-arrivals-v1")
    promoted = tally(folder, "promote", "late-arrivals-v1", "--reason", "steady", **environment)
    assert promoted.code == 0, promoted.err
    return folder, environment


@pytest.fixture
def team(september: tuple[Path, Home], tmp_path: Path) -> tuple[Path, Home]:
    """A copy of it, to be changed freely."""
    folder, home = september
    shutil.copytree(folder, tmp_path / "team")
    shutil.copytree(Path(home["XDG_CONFIG_HOME"]).parent, tmp_path / "home")
    moved = {"XDG_CONFIG_HOME": str(tmp_path / "home" / "c"), "XDG_STATE_HOME": str(tmp_path / "home" / "s")}
    return tmp_path / "team", {**home, **moved}


@pytest.fixture(scope="module")
def drawn(september: tuple[Path, Home], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of October 2013, made in a copy of the ledger."""
    folder = tmp_path_factory.mktemp("drawn") / "team"
    shutil.copytree(september[0], folder)
    assert watch((folder, september[1]), "2013-10", "--html", "page.html").code == 0
    return folder / "page.html"


def watch(team: tuple[Path, Home], period: str, *arguments: str) -> Answer:
    folder, home = team
    return tally(folder, "monitor", "late.toml", "--period", period, *arguments, **home)


def test_a_run_as_of_a_date_knows_nothing_of_later_labels(september: tuple[Path, Home]) -> None:
    with ledger.open(september[0]) as book:
        made = book.event(book.now().model("late-arrivals-v1").made_by_event).event
        started = next(e.event.body for e in book.events() if isinstance(e.event.body, say.RunStarted))
        assert made.about is not None
        assert made.about.trained_on is not None
        assert made.about.trained_on[1] <= started.labels_as_of
        table = pd.read_parquet(september[0] / "late-arrivals.parquet")
        known = table[table["arr_delay"].notna() & (table["time_hour"] + pd.Timedelta(days=1) <= started.labels_as_of)]
        assert made.body.rows == len(known)
    before = tally(september[0], "run", "late.toml", "--labels-as-of", "2013-03-31", "--workers", "1", **september[1])
    assert before.code == 2
    assert "no label of 2013-04" in before.err


def test_a_period_is_watched_in_words_with_numbers_behind_them_and_all_of_it_is_recorded(
    team: tuple[Path, Home],
) -> None:
    folder, home = team
    answer = watch(team, "2013-10", "--plot")
    assert answer.code == 0, answer.err
    flat = " ".join(answer.out.split())
    for words in (
        "October 2013: 6 own windows and 285 expected events show only odds that are off by",
        "The model predicted 22.0% late, 17.3% were;",
        "[loss] Log-loss",
        "[ranking]",
        "watched features would be outside their own past by chance",
        "Estimate without labels:",
        "This estimator has missed by",
        "Suggest:",
        "░",
        "trajectory",
    ):
        assert words in flat, (words, flat)
    with ledger.open(folder) as book:
        (period,) = book.now().periods()
        findings = [item for item in book.now().findings() if item.period == period.period]
        body: say.PeriodMonitored = book.event(period.described_by).event.body
        about = book.event(period.described_by).event.about
        assert about is not None
        assert about.observed_in is not None
        assert about.observed_in[0].astimezone(book.zone).isoformat() == "2013-10-01T00:00:00-04:00"
        assert body.history == ("2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09")
        assert {item.seq for item in findings} == set(range(period.described_by + 1, book.now().as_of.seq + 1))
        assert body.losses is not None
        losses = pd.read_parquet(book.objects.path(body.losses))
        whole = losses[losses["segment"] == ""]
        assert whole["rows"].sum() == body.rows - body.immature_rows
        assert whole["sum_loss"].sum() / whole["rows"].sum() == pytest.approx(body.metrics["log_loss"].value)
        (automation,) = book.now().automations()
        # Six months that differ so much show little: a month that cannot be judged is no quiet one, and no trouble.
        assert body.status == "not judged"
        assert (automation.last_period, automation.quiet_periods) == (None, 0)
    status = tally(folder, "status", "--json", **home).json
    assert [item["period"] for item in status["watched"]] == ["late-arrivals/2013-10"]
    assert f"2013-10 {body.status}: {body.decision}" in tally(folder, "status", **home).out
    explained = tally(folder, "explain", "late-arrivals/2013-10/loss", **home)
    assert explained.code == 0
    assert "expected_loss" in explained.out
    shown = tally(folder, "show", "late-arrivals/2013-10", "--json", **home).json
    assert shown["state"]["decision"] == body.decision
    assert tally(folder, "verify", **home).code == 0


def test_the_same_rows_give_the_same_words_and_a_second_look_is_another_version(team: tuple[Path, Home]) -> None:
    folder, home = team
    first, second = watch(team, "2013-10", "--json"), watch(team, "2013-10", "--json")
    assert first.json["schema"] == "tally.monitor/1"
    assert first.json["findings"] == second.json["findings"]
    unlike = {"labels_as_of"}
    one, other = ({k: v for k, v in a.json["period"].items() if k not in unlike} for a in (first, second))
    assert one == other
    report = tally(folder, "report", "late-arrivals", "--json", **home).json
    assert report["period"]["looks"] == 2
    assert report["period"]["late_days"] > 1_000
    commit = first.json["commit"].partition("-")[0]
    then = tally(folder, "report", "late-arrivals", "--as-of", commit, "--json", **home).json
    assert then["period"]["looks"] == 1
    assert then["period"]["commit"] == first.json["commit"]


def test_labels_that_are_not_known_yet_are_waited_for_with_an_estimate_and_its_own_record(
    team: tuple[Path, Home],
) -> None:
    answer = watch(team, "2013-10", "--labels-as-of", "2013-10-20", "--json").json
    assert answer["period"]["status"] == "waiting"
    assert answer["period"]["decision"] == "wait"
    told = {item["code"]: item for item in answer["findings"]}
    # At 23:00 in New York on the day after the month it is the next day in UTC already.
    assert told["immature"]["sentence"].endswith("the last will be on 2013-11-01.")
    assert answer["period"]["suggestion"].startswith("Suggest: watch October 2013 again after 2013-11-01")
    folder, home = team
    shown = " ".join(tally(folder, "report", "late-arrivals", "--plot", **home).out.split())
    assert "with a known label as if it were 2013-10-20 23:59:59 EDT" in shown
    assert "There is nothing to draw" in shown
    unknown = tally(folder, "report", "early-arrivals", **home)
    assert unknown.code == 4 and "There is late-arrivals." in unknown.err
    other = tally(folder, "report", "late-arrivals", "--period", "2013-09", **home)
    assert other.code == 4 and "Watched were 2013-10." in other.err
    assert re.search(r"Estimate without labels: 0\.\d{3}\. This estimator has missed by", told["estimate"]["sentence"])
    (folder / "taken.html").mkdir()
    later = watch(team, "2013-10", "--json", "--html", "taken.html")
    assert later.code == 2 and "The look is recorded." in later.err
    assert "tally report late-arrivals --period 2013-10 --html FILE" in later.err
    later = tally(folder, "report", "late-arrivals", "--json", **home).json
    assert later["period"]["status"] != "waiting"
    # Flights that are cancelled after 20 October were still asked about then.
    assert later["period"]["estimate"]["estimate"] == pytest.approx(told["estimate"]["facts"]["estimate"], rel=1e-3)
    with ledger.open(team[0]) as book:
        assert len([e for e in book.events() if isinstance(e.event.body, say.PeriodMonitored)]) == 2


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        ("gone", "schema", "humid is not in the source any more"),
        ("text", "schema", "seats holds another kind of value"),
        ("empty", "data", "temp is missing in 100.0% of the rows"),
    ],
)
def test_broken_data_are_a_finding_and_no_reason_to_retrain(
    damage: str, code: str, words: str, team: tuple[Path, Home]
) -> None:
    folder, _ = team
    table = pd.read_parquet(folder / "late-arrivals.parquet")
    if damage == "gone":
        table = table.drop(columns=["humid"])
    if damage == "text":
        table["seats"] = table["seats"].map(lambda seats: f"about {seats}")
        table["snow_depth"] = 0.0
    if damage == "empty":
        table.loc[table["time_hour"] >= "2013-10-01", "temp"] = None
    table.to_parquet(folder / "late-arrivals.parquet", index=False)
    answer = watch(team, "2013-10", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["period"]["decision"] == "fix data"
    assert answer.json["period"]["status"] == "alarm"
    assert answer.json["findings"][0]["code"] == code
    assert words in answer.json["findings"][0]["sentence"]
    new = {item["code"]: item for item in answer.json["findings"]}.get("new columns")
    assert (new and new["facts"]) == ({"new": ["snow_depth"]} if damage == "text" else None)
    with ledger.open(folder) as book:
        (automation,) = book.now().automations()
        assert automation.locked_by is not None


def test_what_a_model_has_seen_and_what_is_sealed_is_not_watched(team: tuple[Path, Home]) -> None:
    seen = watch(team, "2013-09")
    assert seen.code == 1
    assert "praised for remembering" in seen.err
    assert "--labels-as-of 2013-08-31" in seen.err
    assert watch(team, "2013-13").code == 2
    assert watch(team, "2031-01").code == 2
    shown = watch(team, "2013-12").out
    with ledger.open(team[0]) as book:
        meant = book.now().model("late-arrivals-v1").intended_for
        assert meant is not None
        last = f"{meant[1].astimezone(book.zone) - dt.timedelta(microseconds=1):%Y-%m-%d}"
    assert f"is meant to be used until {last}" in " ".join(shown.split())
    expired = watch(team, "2014-01", "--json").json
    assert (expired["period"]["decision"], expired["period"]["metrics"]) == ("refuse", {})
    other = watch(team, "2013-10", "--model", "late-arrivals-v9")
    assert other.code == 4
    folder, home = team
    run = tally(folder, "runs", "--json", **home).json["runs"][0]["run"]
    proposed = tally(folder, "refit", run, "base_rate", "--reason", "to compare", "--data", "late.toml", **home)
    assert proposed.code == 0, proposed.err
    sealed = watch(team, "2013-11", "--model", "late-arrivals-v2")
    assert sealed.code == 1
    assert "sealed until promotion" in sealed.err


def test_rules_of_monitoring_that_are_not_understood_are_refused(team: tuple[Path, Home]) -> None:
    pipeline_file(team[0], **{"outside 8 of 10 own windows": "when it looks strange"})
    answer = watch(team, "2013-10")
    assert answer.code == 2
    assert "outside 8 of 10 own windows" in answer.err


# The page ------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Everything in a page that could reach outside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


def test_the_page_is_made_again_to_the_byte_and_holds_everything_itself(team: tuple[Path, Home]) -> None:
    folder, home = team
    assert watch(team, "2013-10", "--html", "page.html").code == 0
    commit = tally(folder, "report", "late-arrivals", "--json", **home).json["period"]["commit"].partition("-")[0]
    assert watch(team, "2013-10", "--html", "second.html").code == 0
    done = tally(folder, "report", "late-arrivals", "--as-of", commit, "--html", "again.html", **home)
    assert done.code == 0, done.err
    page = (folder / "page.html").read_bytes()
    assert (folder / "again.html").read_bytes() == page
    assert (folder / "second.html").read_bytes() != page
    parsed = Page()
    parsed.feed(page.decode())
    assert set(parsed.references) == {"data:,"}
    assert not {"script", "link rel=stylesheet", "img", "iframe"} & set(parsed.tags)
    assert parsed.tags.count("svg") >= 6
    assert page.index(b"What was found") < page.index(b"In pictures")
    assert b"@media print" in page
    assert "the band is the own range" not in page.decode()
    assert page.decode().count("the band is what its own windows let us expect") == 3
    assert "Judged by the rule “own windows 2”." in page.decode()
    assert "--html" in tally(folder, "report", "--help", **home).out
    nowhere = tally(folder, "report", "late-arrivals", "--html", "/proc/nowhere/page.html", **home)
    assert nowhere.code == 2


def test_foreign_text_cannot_become_markup(team: tuple[Path, Home]) -> None:
    from tallystick.tui.output.svg_charts import bars, text_of, trajectory

    evil = "<script>alert(1)</script>\x1b[31m\u202e\"'"
    for drawn in (
        text_of(evil),
        bars(evil, [(evil, 1.0, evil)]),
        trajectory("t", [evil, evil], [0.0, 1.0], signed=True, unit=""),
    ):
        assert "<script" not in drawn
        assert "\x1b" not in drawn
        assert "\u202e" not in drawn


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here to open the page with")
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_page_without_complaint_network_or_overflow(
    width: int, drawn: Path, tmp_path: Path
) -> None:
    assert CHROMIUM is not None
    # Windows of a headless browser are at least 500 wide; a frame is as narrow as it is told. Opened details are
    # the widest part of the page, so they are measured open.
    page = drawn.read_text().replace("<details>", "<details open>")
    (tmp_path / "open.html").write_text(page)
    probe = (
        f'<!doctype html><iframe id="f" src="open.html" style="width:{width}px;height:900px;border:0"></iframe>'
        '<pre id="out"></pre><script>const f=document.getElementById("f");f.onload=()=>{const d=f.contentDocument,'
        "r=f.contentWindow.performance.getEntriesByType('resource').map(e=>e.name);"
        'document.getElementById("out").textContent=JSON.stringify({scroll:d.documentElement.scrollWidth,'
        "client:d.documentElement.clientWidth,svgs:d.querySelectorAll('svg').length,resources:r,"
        "title:d.title})}</script>"
    )
    (tmp_path / "probe.html").write_text(probe)
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'browser'}",
            f"--log-net-log={log}",
            "--virtual-time-budget=5000",
            f"--window-size={max(width, 500) + 40},1000",
            "--dump-dom",
            (tmp_path / "probe.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stderr
    measured = json.loads(found[1].replace("&quot;", '"').replace("&amp;", "&"))
    assert measured["title"] == "late-arrivals-v1 in 2013-10"
    assert measured["client"] <= width
    assert measured["scroll"] <= measured["client"], measured
    assert measured["svgs"] >= 6
    assert measured["resources"] == []
    assert "CONSOLE" not in done.stderr, done.stderr
