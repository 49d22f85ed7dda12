"""How numbers look to a person."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.units import format_bytes, format_count, format_seconds, parameters_label

KIB = 1024
FACTORS = {"B": 1, "KiB": KIB, "MiB": KIB**2, "GiB": KIB**3, "TiB": KIB**4}
SIZES = st.one_of(
    st.integers(0, 2**50), st.builds(lambda p, d: max(0, 2**p + d), st.integers(0, 50), st.integers(-5, 5))
)


@pytest.mark.parametrize(
    ("n", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (KIB, "1.0 KiB"),
        (92 * KIB**2, "92 MiB"),
        (1395864371, "1.3 GiB"),
        (int(9.94 * KIB**2), "9.9 MiB"),
        (int(9.96 * KIB**2), "10 MiB"),
        (KIB**3 - 1, "1.0 GiB"),
        (5000 * KIB**4, "5000 TiB"),
    ],
)
def test_bytes_read_as_binary_units(n: int, text: str) -> None:
    assert format_bytes(n) == text


def test_a_negative_number_of_bytes_is_a_bug() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_bytes(-1)


@given(SIZES)
def test_bytes_keep_their_size_and_never_reach_the_next_unit(n: int) -> None:
    number, unit = format_bytes(n).split(" ")
    step = FACTORS[unit] * (0.1 if "." in number else 1)
    assert abs(float(number) * FACTORS[unit] - n) <= step / 2 * (1 + 1e-9)
    assert ("." in number) == (unit != "B" and float(number) < 10)
    assert float(number) < 1024 or unit == "TiB"


@given(SIZES, SIZES)
def test_more_bytes_never_read_as_fewer(a: int, b: int) -> None:
    def shown(n: int) -> float:
        number, unit = format_bytes(n).split(" ")
        return float(number) * FACTORS[unit]

    assert shown(min(a, b)) <= shown(max(a, b))


def test_counts_have_commas() -> None:
    assert [format_count(n) for n in (0, 999, 3895, 1234567)] == ["0", "999", "3,895", "1,234,567"]


@pytest.mark.parametrize(
    ("s", "text"),
    [
        (0, "0 s"),
        (0.004, "<0.01 s"),
        (0.05, "0.05 s"),
        (0.099, "0.1 s"),
        (0.3, "0.3 s"),
        (9.96, "10 s"),
        (24.2, "24 s"),
        (59.7, "1 min"),
        (90, "1 min 30 s"),
        (120, "2 min"),
        (599.8, "10 min"),
        (3590, "1 h"),
        (7500, "2 h 5 min"),
    ],
)
def test_seconds_are_as_exact_as_useful(s: float, text: str) -> None:
    assert format_seconds(s) == text


@pytest.mark.parametrize("s", [-1.0, float("nan"), float("inf")])
def test_what_is_no_duration_is_a_bug(s: float) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        format_seconds(s)


@given(st.floats(0.01, 1e6))
def test_seconds_are_off_by_five_percent_at_most_and_read_as_a_time(s: float) -> None:
    text = format_seconds(s)
    parts = re.findall(r"([\d.]+) (h|min|s)", text)
    assert " ".join(" ".join(part) for part in parts) == text
    shown = sum(float(number) * {"h": 3600, "min": 60, "s": 1}[unit] for number, unit in parts)
    tenth = 0.005 if s < 0.0951 else 0.0501
    assert abs(shown - s) <= max(tenth, 0.0501 * s)
    assert not re.search(r"\b60 (s|min)", text)


@pytest.mark.parametrize(
    ("count", "label"), [(0, ""), (520_618, "520,618"), (134_515_008, "135M"), (8_030_261_312, "8B"), (7.6e9, "7.6B")]
)
def test_numbers_of_weights_are_said_as_models_are_called(count: int, label: str) -> None:
    assert parameters_label(int(count)) == label
