from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.fetching import LAST_DELAY, backoff_s, ends_whole, next_try_at, opt_out, retry_after_s
from dataset_assets_tests.mirror import picture

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


@given(st.integers(1, 10**6), st.none() | st.floats(0, 10**12))
def test_a_next_try_is_never_sooner_than_five_minutes_nor_later_than_thirty_days(
    attempts: int, wanted: float | None
) -> None:
    assert timedelta(minutes=5) <= next_try_at(NOW, attempts, wanted) - NOW <= LAST_DELAY


def test_waits_within_a_run_grow_and_are_the_same_each_time() -> None:
    waits = [backoff_s(attempt, "pd12m-1-0") for attempt in (1, 2, 3)]

    assert waits == [backoff_s(attempt, "pd12m-1-0") for attempt in (1, 2, 3)]
    assert all(low <= wait <= 1.5 * low for wait, low in zip(waits, (1, 2, 4), strict=True))
    assert waits[0] != backoff_s(1, "pd12m-2-0")
    assert backoff_s(30, "pd12m-1-0") <= 60


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("Sat, 21 Nov 2026 06:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 05:00:00 GMT", 0),
        ("Sat, 21 Nov 2026 06:01:00", 60),
        (None, None),
        ("-5", None),
        ("soon", None),
        ("9" * 50, None),
        ("1e9", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, NOW) == seconds


@given(st.text(max_size=200))
def test_any_retry_after_is_read(value: str) -> None:
    assert (retry_after_s(value, NOW) or 0) >= 0


@given(st.lists(st.text(max_size=60), max_size=4))
def test_any_robots_header_is_read(headers: list[str]) -> None:
    assert opt_out(headers, ["noai"], "me/1") in (None, "noai")


def test_a_directive_for_one_agent_is_not_for_another() -> None:
    assert opt_out(["other: noai"], ["noai"], "me/1") is None
    assert opt_out(["Me: noai"], ["noai"], "me/1") == "noai"
    assert opt_out(["*: noai"], ["noai"], "me/1") == "noai"
    assert opt_out(["other: noindex", "noai"], ["noai"], "me/1") == "noai"
    assert opt_out(["unavailable_after: 25 Jun 2010, noai"], ["noai"], "me/1") == "noai"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_a_whole_file_ends_whole_and_a_cut_one_does_not(form: str) -> None:
    data = picture(1, form=form)

    assert ends_whole(form.lower(), len(data), data[:1024], data[-64:])
    for size in range(100, len(data) - 8, 7):
        assert not ends_whole(form.lower(), size, data[:size][:1024], data[:size][-64:])


def test_a_format_without_an_end_does_not_say() -> None:
    assert ends_whole("bmp", 10, b"BM", b"") is None
