"""The canonical encoding of columns: different values have different hashes, and equal ones the same."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tallystick.pipeline.data.slice import column_hash

texts = st.lists(st.none() | st.text("ab\0é", max_size=3), min_size=1, max_size=4)
numbers = st.lists(st.none() | st.sampled_from([0.0, -0.0, 1.0, 5e-324, float("inf"), 2.0**53]), min_size=1, max_size=4)


def hashed(values: list[Any], kind: pa.DataType) -> str:
    return column_hash(pa.array(values, kind))


@given(texts, texts)
def test_different_texts_have_different_hashes(one: list[str | None], other: list[str | None]) -> None:
    assert (hashed(one, pa.string()) == hashed(other, pa.large_string())) == (one == other)


@given(numbers, numbers)
def test_different_numbers_have_different_hashes(one: list[float | None], other: list[float | None]) -> None:
    same = list(map(repr, one)) == list(map(repr, other))
    assert (hashed(one, pa.float64()) == hashed(other, pa.float64())) == same


@given(texts, st.integers(0, 3), st.integers(0, 4))
def test_a_part_of_a_column_hashes_as_a_column(values: list[str | None], start: int, length: int) -> None:
    part = values[start : start + length]
    assert column_hash(pa.array([*values, "z"], pa.string()).slice(start, len(part))) == hashed(part, pa.string())


@given(texts)
def test_a_dictionary_hashes_as_its_text(values: list[str | None]) -> None:
    assert column_hash(pa.array(values, pa.string()).dictionary_encode()) == hashed(values, pa.string())


def test_examples_that_a_careless_encoding_confuses() -> None:
    pairs: list[tuple[list[Any], list[Any]]] = [
        (["a", "bc"], ["ab", "c"]),
        ([None, "x"], ["", "x"]),
        (["a\0", "b"], ["a", "\0b"]),
        (["-1"], [None]),
    ]
    for one, other in pairs:
        assert hashed(one, pa.string()) != hashed(other, pa.string())
    quiet, loud = (np.frombuffer(bytes.fromhex(text), "<f8") for text in ("000000000000f87f", "010000000000f0ff"))
    assert column_hash(pa.array(quiet)) == column_hash(pa.array(loud)) == hashed([None], pa.float64())
