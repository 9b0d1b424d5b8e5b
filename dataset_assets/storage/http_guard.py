"""The guard of every fetch: which URLs are asked for, and which addresses are connected to.

The address is looked at where the socket is made, and nowhere else: a name may resolve to another address the second
time, a redirect may name one, and an address in digits may be written in ways that only the client reads.
"""

import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from yarl import URL

from dataset_assets.domain.addresses import Network, refusal

# Family, type, protocol, canonical name, socket address: what a resolver answers and a connection is made from.
AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[str | int | bytes, ...]]

MAX_URL_CHARACTERS = 8192
# What two readers of a URL could take for different hosts, such as %61, is no host.
_HOST = re.compile(r"[A-Za-z0-9._~:-]+")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")


class BlockedAddress(Exception):
    """An address that is not connected to. No OSError: a client would try the name's next address after one."""


class RefusedUrl(Exception):
    """A URL that is not asked for."""


@dataclass(frozen=True)
class Guard:
    """Makes sockets to public addresses, and to those that are allowed by name."""

    allowed: Iterable[Network] = ()
    make: Callable[..., socket.socket] = socket.socket

    def __call__(self, info: AddressInfo) -> socket.socket:
        """A socket for an address that may be connected to. Raises: BlockedAddress."""
        family, kind, protocol, _, (host, port, *_) = info
        if problem := refusal(str(host), int(port), self.allowed):
            raise BlockedAddress(problem)
        return self.make(family=family, type=kind, proto=protocol)


def checked_url(text: str) -> URL:
    """A URL that may be asked for. Raises: RefusedUrl when it is no plain http or https URL, or holds a password."""
    if len(text) > MAX_URL_CHARACTERS or _UNSAFE.search(text):
        raise RefusedUrl(f"{text[:200]!a} is too long, or has blanks, control characters or backslashes in it")
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError as error:
        raise RefusedUrl(f"{text[:200]!a}: {error}") from None
    if url.scheme not in ("http", "https") or not host or port is None:
        raise RefusedUrl(f"{text[:200]!a}: expected http:// or https:// and a host")
    if not _HOST.fullmatch(url.raw_host or "") or not str(url).isascii():
        raise RefusedUrl(f"{text[:200]!a}: no host has such a name")
    if url.user is not None or url.password is not None:
        raise RefusedUrl("a URL with a user name or password in it is not asked for")
    return url


def redirected(current: URL, location: str, allow_downgrade: bool) -> URL:
    """Where a redirect leads. Raises: RefusedUrl when it leaves https or http(s) altogether."""
    if _UNSAFE.search(location):
        raise RefusedUrl(f"redirected to {location[:200]!a}")
    try:
        target = checked_url(str(current.join(URL(location))))
    except (RefusedUrl, ValueError) as error:
        raise RefusedUrl(f"redirected: {error}") from None
    if current.scheme == "https" and target.scheme == "http" and not allow_downgrade:
        raise RefusedUrl(f"redirected from https to {str(target)[:200]!a}; see fetch.allow_http_downgrade")
    return target
