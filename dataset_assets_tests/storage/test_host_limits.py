import asyncio

import pytest

from dataset_assets.storage import host_limits
from dataset_assets.storage.host_limits import FAILURES_BEFORE_DOWN, SILENCES_BEFORE_OUTAGE, Hosts
from dataset_assets_tests.fetching import SkippingClock, settings


def hosts() -> Hosts:
    return Hosts(settings(), SkippingClock())


def test_a_host_is_down_after_so_many_failures_in_a_row_and_up_after_one_answer() -> None:
    limits = hosts()
    for _ in range(FAILURES_BEFORE_DOWN - 1):
        limits.note("a", "server_error")
    assert limits.down_for("a") is None

    limits.note("a", "gone")
    for _ in range(FAILURES_BEFORE_DOWN):
        limits.note("a", "server_error")
    assert limits.down_for("a") == "server_error"
    limits.note("a", None)
    assert limits.down_for("a") is None


def test_the_network_is_gone_when_every_host_is_down_for_it() -> None:
    limits = hosts()
    for _ in range(FAILURES_BEFORE_DOWN):
        limits.note("a", "timed_out")
    assert limits.outage == "timed_out"
    limits.note("b", "gone")
    assert limits.outage is None


def test_a_host_that_answers_with_errors_is_no_dead_network() -> None:
    limits = hosts()
    for _ in range(2 * FAILURES_BEFORE_DOWN):
        limits.note("a", "server_error")

    assert (limits.down_for("a"), limits.outage, limits.is_silent) == ("server_error", None, False)


def test_one_silent_host_after_another_is_a_dead_network() -> None:
    limits = hosts()
    for number in range(SILENCES_BEFORE_OUTAGE):
        assert limits.outage is None
        limits.note(f"host{number}", "dns_failed")

    assert limits.outage == "dns_failed"


def test_nothing_asked_is_no_silence() -> None:
    assert not hosts().is_silent


def test_a_pause_is_kept_by_all_and_lasts_a_minute_at_most() -> None:
    limits = hosts()

    async def one() -> float:
        async with limits.slot("a"):
            return limits.clock.monotonic()

    async def all_of_them() -> list[float]:
        limits.pause("a", 10_000)
        return list(await asyncio.gather(*(one() for _ in range(5))))

    assert asyncio.run(all_of_them()) == [60.0] * 5


def test_hosts_without_a_story_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_limits, "HOSTS_KEPT", 100)
    limits = hosts()
    for _ in range(FAILURES_BEFORE_DOWN):
        limits.note("down", "timed_out")
    for number in range(1000):
        limits.note(f"host{number}", None)

    assert len(limits.names) <= 101
    assert limits.down_for("down") == "timed_out"
    assert limits.outage is None
