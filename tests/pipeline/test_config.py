"""Reading a pipeline file: every mistake named with its line, meaning apart from prose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from given import FIXTURES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallystick.ledger.errors import InvalidInput, TallyError
from tallystick.pipeline.config.load import ConfigurationError, LoadedPipeline, read
from tallystick.pipeline.config.toml_lines import find_lines

TEXT = (FIXTURES / "late-arrivals.toml").read_text()
LINES = TEXT.split("\n")
# Every setting that stands on a line of its own: `name = …`, dotted or quoted names included.
SETTINGS = [
    (number, match[1].strip())
    for number, line in enumerate(LINES, 1)
    if (match := re.match(r'("[^"]+"|[A-Za-z_]+)\s*=', line))
]
OPTIONAL = {"rows_expected", "role"}


def reading(folder: Path, text: str) -> LoadedPipeline:
    path = folder / "late.toml"
    path.write_text(text)
    return read(path)


def mistakes(folder: Path, text: str) -> list[tuple[int, str]]:
    try:
        reading(folder, text)
    except ConfigurationError as error:
        return [(mistake.line, mistake.words) for mistake in error.mistakes]
    return []


def with_line(number: int, line: str) -> str:
    return "\n".join([*LINES[: number - 1], line, *LINES[number:]])


def test_the_example_is_sound_and_its_defaults_are_said(tmp_path: Path) -> None:
    loaded = reading(tmp_path, TEXT)
    assert loaded.settings.name == "late-arrivals"
    assert list(loaded.settings.candidates) == ["base_rate", "logistic", "small_trees", "big_trees"]
    assert {"time.ambiguous", "time.min_rows", "data.fingerprint"} <= set(loaded.defaulted)
    assert loaded.notes == []
    assert reading(tmp_path, (FIXTURES / "late-arrivals-full.toml").read_text()).settings.data.joins


# A quoted name is the reader's own, a feature: renamed, it is another feature.
NAMED = [(number, name) for number, name in SETTINGS if not name.startswith('"')]


@pytest.mark.parametrize(("number", "name"), NAMED, ids=[f"{n}-{name[:20]}" for n, name in NAMED])
def test_each_setting_renamed_is_one_mistake_on_its_own_line(number: int, name: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, with_line(number, LINES[number - 1].replace(name, f"{name}x", 1)))
    if name in ("forbidden", "base_rate"):
        assert found
        return
    assert [line for line, _ in found] == [number], found
    assert f"{name}x is not a setting of" in found[0][1]
    assert f"Did you mean {name}?" in found[0][1]


@pytest.mark.parametrize(("number", "name"), SETTINGS, ids=[f"{n}-{name[:20]}" for n, name in SETTINGS])
def test_each_setting_of_another_type_is_one_mistake_on_its_own_line(number: int, name: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, with_line(number, f"{name} = [[[]]]"))
    assert [line for line, _ in found] == [number], found


@pytest.mark.parametrize(("number", "name"), SETTINGS, ids=[f"{n}-{name[:20]}" for n, name in SETTINGS])
def test_each_setting_left_out_is_missed_unless_it_has_a_default(number: int, name: str, tmp_path: Path) -> None:
    found = mistakes(tmp_path, with_line(number, ""))
    if name in OPTIONAL - {"role"} or name.startswith('"') or name in ("forbidden", "group", "beats_reference_in"):
        assert found == []
    elif name in ("worst_window_gain", "optimism_gap", "calibration_in_large", "leakage", "reproduced", "final_test"):
        assert found == []  # which gates there are is a choice
    elif name in ("unlock", "relock_on", "params"):
        assert found == []
    elif name in ("used_for", "not_for", "train", "gap", "refit"):
        assert found == []  # leaving it out has one documented meaning
    else:
        assert len(found) == 1, found
        words = found[0][1]
        assert "say why" in words if name == "why" else name in words or "must say" in words or "reference" in words


def test_a_mistake_says_what_to_write_instead(tmp_path: Path) -> None:
    for old, new, line, words in (
        ('overlap = "allowed"', 'overlap = "alowed"', "data.group.overlap", "Did you mean 'allowed'?"),
        ("confidence = 0.90", "confidence = 90", "selection.confidence", "Expected float < 1.0"),
        ('label_delay = "1d"', 'label_delay = "1 month"', "label_delay", "months differ in length; say it in days"),
        ('timezone    = "America/New_York"', 'timezone = "New York"', "timezone", "is not a time zone"),
        ("first_test  = 2013-04-01", "first_test = 2013-04-02", "first_test", "does not begin a month"),
        ("first_test  = 2013-04-01", "first_test = 2014-04-01", "first_test", "lies after last_test"),
        ('rule = "> 15"', 'rule = "late"', "target", "is not a rule"),
        ('"2013-12"]', '"2014-12"]', "final", "is not one of the test windows"),
        ('["2013-11", "2013-12"]', '["2013-05"]', "final", "Sealed windows come last"),
        ('metric     = "log_loss"', 'metric = "squared_error"', "metric", "does not fit a target that is a yes or no"),
        ('at_least = "every window"', 'at_least = "9 of 9 windows"', "beats", "there are 7 development windows"),
        ('{ known_at = "time_hour - 3h", why', '{ known_at = "time_hour", why', "temp", "the model cannot have it"),
        ('"dep_time", "dep_delay"', '"dep_time", "temp"', "forbidden", "temp is a feature and forbidden at once"),
        ("pipeline.recipes:linear", "linear", "estimator", "module:callable"),
        ('role       = "reference"', "", "candidates", "exactly one candidate"),
    ):
        assert old in TEXT, old
        found = mistakes(tmp_path, TEXT.replace(old, new))
        assert found, (line, new)
        assert any(words in said for _, said in found), found


def test_ten_mistakes_are_reported_at_once_each_on_its_line(tmp_path: Path) -> None:
    text, expected = TEXT, {}
    for old, new, words in (
        ("schema = 1", "schema = 2", "it is one of 1"),
        ('owner  = "ops-analytics@example.org"', "", "the file must say owner"),
        ('unit          = "one', 'unt = "one', "unt is not a setting of [questions]. Did you mean unit?"),
        ("rows_expected = 14182", "rows_expected = -1", "Expected int >= 0"),
        ('overlap = "allowed"', 'overlap = "alowed"', "Did you mean 'allowed'?"),
        ('label_delay = "1d"', "", "[time] must say label_delay. We never guess this one"),
        ("looks = 1 ", "looks = 0 ", "Expected int >= 1"),
        ('why        = "The team can read its coefficients."', "", "[candidates.logistic] must say why"),
        ("confidence = 0.90", "confidence = nan", "numbers are finite"),
        ("estimate_before_labels = true", 'estimate_before_labels = "yes"', "Expected bool, got str"),
    ):
        assert text.count(old) == 1, old
        line = text[: text.index(old)].count("\n") + 1
        text = text.replace(old, new)
        # What is missing stands nowhere; the mistake points at the table that lacks it.
        expected[words] = line if new else None
    found = mistakes(tmp_path, text)
    assert len(found) == 10, found
    for words, line in expected.items():
        (at,) = [at for at, said in found if words in said]
        assert line is None or at == line, words
        assert line is not None or at == 1 or text.split("\n")[at - 1].startswith("["), words


def test_a_mistake_about_a_feature_stands_on_the_line_that_lists_it(tmp_path: Path) -> None:
    for old, new in (
        ('"plane_year, seats" ', '"plane_year, arr_delay" '),
        ('{ known_at = "time_hour - 3h", why', '{ known_at = "time_hour", why'),
    ):
        line = TEXT[: TEXT.index(old)].count("\n") + 1
        assert {at for at, _ in mistakes(tmp_path, TEXT.replace(old, new))} == {line}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at_most = 0.05", "at_most = nan", "numbers are finite"),
        ("at_most = 0.05", "at_most = -inf", "numbers are finite"),
        ("C = 1.0", "C = nan", "candidates.logistic.params.C = nan: numbers are finite"),
        ("seed       = 20130401", f"seed = {2**63}", "at most 64 bits"),
        ("seed       = 20130401", f"seed = 0x{'f' * 5000}", "at most 64 bits"),
        ("seed       = 20130401", "seed = " + "9" * 5000, "too many digits"),
        ('rule = "> 15"', 'rule = "> 1e999"', "larger than any number"),
        ('window      = "1 month"', 'window = "999999 months"', "outside the years 1 to 9999"),
        ('window      = "1 month"', 'window = "999999 weeks"', "outside the years 1 to 9999"),
        ('train       = "expanding"', 'train = { rolling = "2013 years" }', "one of: '1 month', '0d', '2013 years'"),
        ('gap         = "0d"', 'gap = "999999 weeks"', "outside the years 1 to 9999"),
        ('window      = "1 month"', 'window = "3 months"', "last_test 2013-12-01 does not begin a window"),
        ('"America/New_York"', '"localtime"', "is not a time zone"),
        ('"every window", why', '"0 of 7 windows", why', "holds back nothing"),
        ('["2013-11", "2013-12"]', '["2013-12", "2013-12"]', "'2013-12' is listed twice"),
        ('"carrier", "flight", "origin"]', '"carrier", "carrier"]', "'carrier' is listed twice"),
        ('"62 days"', '"0 days"', "can never be used"),
        ('every      = "1 month"', 'every = "0d"', "has a length"),
        ('every      = "1 month"', 'every = "1 week"', "what is watched are windows of 1 month"),
        ('every      = "1 month"', 'every = "45 days"', "say that or a multiple of it"),
        ("outside 8 of 10 own windows", "outside most windows", "notice = 'outside most windows' is not a rule"),
        ("outside 8 of 10 own windows", "outside 11 of 10 own windows", "is not a rule"),
        ("by half its range", "by a bit", "alarm = 'outside every own window by a bit"),
        ("of the model's own back-test", "of any model", 'Say "same windows of the model\'s own back-test" or'),
    ],
)
def test_what_no_run_could_hold_is_refused(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in TEXT
    found = mistakes(tmp_path, TEXT.replace(old, new, 1))
    assert any(words in said for _, said in found), found


def test_a_parameter_or_feature_named_like_prose_has_a_meaning(tmp_path: Path) -> None:
    hashes = {
        reading(tmp_path, TEXT.replace(old, new)).meaning_hash
        for old, new in (
            ("schema = 1", "schema = 1"),
            ("{ C = 1.0 }", '{ C = 1.0, decision = "soft" }'),
            ("{ C = 1.0 }", '{ C = 1.0, decision = "hard" }'),
            ('"plane_year, seats"', '"plane_year, seats, owner"'),
            ("[candidates.logistic]", "[candidates.owner]"),
        )
    }
    assert len(hashes) == 5


def test_meaning_is_what_changes_results(tmp_path: Path) -> None:
    base = reading(tmp_path, TEXT)
    for old, new in (
        ("# read this", "# do read this"),
        ("ops-analytics@example.org", "somebody@example.org"),
        ("The team can read its coefficients.", "Simple."),
        ("A missed warning costs a complaint", "It hurts"),
        ("seed       = 20130401", "seed = 20130401"),
        ("rows_expected = 14182\n", ""),
        ("complexity = 0\nrole       = \"reference\"", 'role = "reference"\ncomplexity = 0'),
    ):  # fmt: skip
        changed = reading(tmp_path, TEXT.replace(old, new) if old in TEXT else TEXT + "\n# a remark\n")
        assert changed.meaning_hash == base.meaning_hash, old
        assert changed.text_hash != base.text_hash, old
    for old, new in (
        ("seed       = 20130401", "seed = 20130402"),
        ('label_delay = "1d"', 'label_delay = "2d"'),
        ("C = 1.0", "C = 2.0"),
        ('rule = "> 15"', 'rule = "> 16"'),
        ("at_most = 0.05, metric", "at_most = 0.06, metric"),
        ('"62 days"', '"61 days"'),
    ):
        assert old in TEXT, old
        assert reading(tmp_path, TEXT.replace(old, new)).meaning_hash != base.meaning_hash, old


def test_a_default_written_out_means_the_same(tmp_path: Path) -> None:
    written = TEXT.replace(
        'refit       = "every window"', 'refit = "every window"\nambiguous = "refuse"\nmin_rows = 100'
    )
    loaded = reading(tmp_path, written)
    assert loaded.meaning_hash == reading(tmp_path, TEXT).meaning_hash
    assert "time.ambiguous" not in loaded.defaulted


def test_files_that_are_none_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("")
    with pytest.raises(InvalidInput, match="There is no file") as caught:
        read(tmp_path / "othr.toml")
    assert "other.toml" in caught.value.hint
    with pytest.raises(InvalidInput, match="cannot be read"):
        read(tmp_path)
    assert mistakes(tmp_path, "schema = 1\nname = \n")[0][0] == 2
    (tmp_path / "late.toml").write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigurationError, match=r"late\.toml:2: .*UTF-8"):
        read(tmp_path / "late.toml")
    (tmp_path / "late.toml").write_bytes(b"x" * (1 << 21))
    with pytest.raises(InvalidInput, match="larger than a pipeline file"):
        read(tmp_path / "late.toml")


def test_lines_are_found_in_every_way_of_writing() -> None:
    text = '\n'.join(
        [
            "a = 1",  # 1
            "[t.u]",  # 2
            'x = """',  # 3
            "[not.a.header]",  # 4
            "y = 2",  # 5
            '"""',  # 6
            '"quoted key" = { p = 1, q = [1, { r = 2 }] }',  # 7
            "list = [",  # 8
            "  # z = 3",  # 9
            "  'a,]',",  # 10
            "]",  # 11
            "d.e.f = 'x = 1'",  # 12
            "[[rows]]",  # 13
            "w = 1",  # 14
            "[[rows]]",  # 15
            "w = 2",  # 16
        ]
    )  # fmt: skip
    lines = find_lines(text)
    expected = {
        ("a",): 1, ("t", "u"): 2, ("t", "u", "x"): 3, ("t", "u", "quoted key"): 7, ("t", "u", "quoted key", "p"): 7,
        ("t", "u", "quoted key", "q"): 7, ("t", "u", "list"): 8, ("t", "u", "d", "e", "f"): 12, ("rows", 0): 13,
        ("rows", 0, "w"): 14, ("rows", 1): 15, ("rows", 1, "w"): 16,
    }  # fmt: skip
    assert {path: lines.get(path) for path in expected} == expected
    assert ("t", "u", "y") not in lines
    assert ("t", "u", "z") not in lines
    assert find_lines('\n"a\\"b" = 1')[('a"b',)] == 2


def test_a_key_of_very_many_parts_takes_little_memory() -> None:
    lines = find_lines(".".join(["a"] * 20_000) + " = 1\nb = 2")
    assert lines[("b",)] == 2
    assert len(lines) < 100


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damaged_file_raises_nothing_but_its_own_error(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(TEXT)))
    stop = data.draw(st.integers(start, min(len(TEXT), start + 60)))
    pieces = st.text(max_size=12) | st.sampled_from(
        ["[", "{", '"""', "\n[x]\n", "= = ", "''", "1e999", "nan", "\\u0000"]
    )
    try:
        reading(tmp_path, TEXT[:start] + data.draw(pieces) + TEXT[stop:])
    except (TallyError, UnicodeEncodeError) as error:
        # A file of unpaired surrogates cannot even be written by the test.
        assert not isinstance(error, UnicodeEncodeError) or "surrogates" in str(error)
