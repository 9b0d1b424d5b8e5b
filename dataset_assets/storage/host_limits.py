"""How much is asked of each host: requests at once, requests a second, pauses that it asks for, and when to stop."""

import asyncio
from dataclasses import dataclass, field

from dataset_assets.config import Fetch
from dataset_assets.domain.states import NETWORK_REASONS
from dataset_assets.storage.clock import Clock

FAILURES_BEFORE_DOWN = 20
SILENCES_BEFORE_OUTAGE = 200
LONGEST_PAUSE_S = 60.0
HOSTS_KEPT = 10_000
_FAILURES = (*NETWORK_REASONS, "server_error", "rate_limited", "too_slow")


@dataclass
class _Host:
    slots: asyncio.Semaphore
    free_at: float = 0.0  # when the next request may go out
    users: int = 0
    failures: int = 0  # files in a row that failed
    down_for: str | None = None  # the reason of the last of them

    @property
    def is_forgettable(self) -> bool:
        return not self.users and not self.failures and self.down_for is None


@dataclass
class Hosts:
    """The hosts of one run. To be used in one event loop."""

    settings: Fetch
    clock: Clock
    _hosts: dict[str, _Host] = field(default_factory=dict)
    _asked: int = 0
    _answered: int = 0
    _silences: int = 0  # files in a row, of whatever host, that nobody answered for
    _last_silence: str = ""
    _has_forgotten: bool = False

    def slot(self, name: str) -> "_Slot":
        """Hold one of a host's slots for a request, from when its rate and its pauses allow it; with `async with`."""
        return _Slot(self, self._host(name))

    async def wait(self, host: _Host) -> None:
        """Wait for when a host may be asked next."""
        gap = 1 / self.settings.rate_per_host if self.settings.rate_per_host else 0.0
        while (wait := host.free_at - self.clock.monotonic()) > 0:
            await self.clock.sleep(wait)
        host.free_at = max(host.free_at, self.clock.monotonic()) + gap if gap else host.free_at

    def pause(self, name: str, seconds: float) -> None:
        """Ask nothing more of a host for a while, at most a minute."""
        host = self._host(name)
        host.free_at = max(host.free_at, self.clock.monotonic() + min(seconds, LONGEST_PAUSE_S))

    def note(self, name: str, reason: str | None) -> None:
        """What became of a file of this host, after all attempts."""
        host = self._host(name)
        is_answered = reason not in NETWORK_REASONS
        self._asked += 1
        self._answered += is_answered
        self._silences = 0 if is_answered else self._silences + 1
        self._last_silence = self._last_silence if is_answered else str(reason)
        if reason not in _FAILURES:
            host.failures, host.down_for = 0, None
            return
        host.failures += 1
        if host.failures >= FAILURES_BEFORE_DOWN:
            host.down_for = reason

    def down_for(self, name: str) -> str | None:
        """Why a host is no longer asked in this run; null = it is."""
        return self._hosts[name].down_for if name in self._hosts else None

    @property
    def names(self) -> list[str]:
        """The hosts that were asked."""
        return list(self._hosts)

    @property
    def outage(self) -> str | None:
        """Why the network seems to be gone, one of its reasons; null = it is there.

        It is gone when each host of this run is down for such a reason, or one file after another was not answered for.
        """
        is_everyone_down = all(host.down_for in NETWORK_REASONS for host in self._hosts.values())
        is_out = is_everyone_down and not self._has_forgotten
        return self._last_silence if self._silences and (is_out or self._silences >= SILENCES_BEFORE_OUTAGE) else None

    @property
    def is_silent(self) -> bool:
        """Whether files were asked for, and not one host has answered."""
        return self._asked > 0 and not self._answered

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            if len(self._hosts) >= HOSTS_KEPT:
                self._has_forgotten = True
                self._hosts = {key: host for key, host in self._hosts.items() if not host.is_forgettable}
            self._hosts[name] = _Host(asyncio.Semaphore(self.settings.per_host))
        return self._hosts[name]


class _Slot:
    """One request's slot: a class, since a generator for each request costs more than all that it does."""

    def __init__(self, hosts: Hosts, host: _Host) -> None:
        self._hosts, self._host = hosts, host
        host.users += 1

    async def __aenter__(self) -> None:
        try:
            await self._host.slots.acquire()
            try:
                await self._hosts.wait(self._host)
            except BaseException:
                self._host.slots.release()
                raise
        except BaseException:
            self._host.users -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._host.slots.release()
        self._host.users -= 1
