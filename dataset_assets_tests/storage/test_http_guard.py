"""No address that is not public is ever connected to: by number, by name, by redirect, by a name that changes."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from dataset_assets.domain.addresses import parse_networks, refusal
from dataset_assets.storage.bucket_access import SourceDown
from dataset_assets.storage.http_guard import Guard, RefusedUrl, checked_url, redirected
from dataset_assets_tests.fetching import Names, fetch, located, settings
from dataset_assets_tests.mirror import picture
from dataset_assets_tests.web_server import WebServer, status_of

IMAGE = picture(1)
# Hosts that are no public address, in every way of writing one that a resolver reads.
NUMBERS = (
    *("127.0.0.1", "127.1", "127.0.1", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "2130706433"),
    *("127.255.255.254", "127.0.0.1.", "0", "0.0.0.0", "0x0", "10.0.0.1", "10.255.255.255", "167772161", "0x0a000001"),
    *("172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.1.254", "0xc0a80001", "3232235521", "169.254.169.254"),
    *("0xa9fea9fe", "2852039166", "169.254.0.1", "100.64.0.1", "100.127.255.254", "192.0.0.8", "192.0.2.1"),
    *("198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("168.63.129.16", "192.88.99.1", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]"),
    *("[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::127.0.0.1]", "[2002:7f00:1::]", "[2002:a00:1::1]"),
    *("[64:ff9b::7f00:1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::1]", "[fc00::1]", "[fd00::1]", "[fd00:ec2::254]"),
    *("[fe80::1]", "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[2001::1]", "[100::1]", "[3fff::1]", "[::ffff:0:0]"),
)
NAMES = {
    "localhost": ["127.0.0.2"],
    "printer.local": ["192.168.1.20"],
    "metadata.google.internal": ["169.254.169.254"],
    "looks-public.example": ["10.1.2.3"],
    "six.example": ["::1"],
    "mapped.example": ["::ffff:127.0.0.2"],
    "１２７.０.０.１": ["127.0.0.2"],
    "rebinding.example": ["127.0.0.2", "127.0.0.2", "10.0.0.1"],
}
HOSTS = (*NUMBERS, *NAMES)


class Counting:
    """Makes no socket, and counts who wanted one: what a guard lets through would go out to the network."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, **_: Any) -> socket.socket:
        self.made += 1
        raise OSError("a test makes no connection")


@pytest.fixture(scope="module")
def stand_in() -> Iterator[WebServer]:
    """What would answer at 127.0.0.2, were it asked."""
    with WebServer(host="127.0.0.2") as running:
        yield running


def reasons(root: Path, urls: list[str], **arguments: Any) -> list[str]:
    rows = located({str(post): url for post, url in enumerate(urls, 1)})
    found = fetch(root, rows, arguments.pop("chosen", settings(allow_addresses=[], attempts=1)), **arguments)
    return found["reason"].unique().to_list()


def test_x07_no_address_that_is_not_public_is_connected_to(tmp_path: Path, stand_in: WebServer) -> None:
    sockets = Counting()
    urls = [
        f"{scheme}://{host}:{port}/a" for host in HOSTS for scheme, port in (("http", stand_in.port), ("https", 443))
    ]

    found = reasons(tmp_path, urls, resolver=Names(NAMES), guard=Guard(make=sockets))  # type: ignore[arg-type]

    assert len(HOSTS) >= 60
    assert set(found) <= {"blocked_address", "refused_url"}
    assert (sockets.made, stand_in.connections) == (0, 0)


def test_x07_no_redirect_leads_there(tmp_path: Path, stand_in: WebServer) -> None:
    here = parse_networks(["127.0.0.1/32"])

    class Watching(Guard):
        def __call__(self, info: Any) -> socket.socket:
            made = super().__call__(info)
            if info[4][0] != "127.0.0.1":
                made.close()
                raise AssertionError(f"{info[4]} was let through")
            return made

    itself = ("127.", "１２７", "0x7f", "0177", "2130706433", "[::ffff:127", "[::ffff:7f")
    hosts = [host for host in HOSTS if not host.startswith(itself)]
    with WebServer() as server:
        targets = [f"http://{host}:{stand_in.port}/a" for host in hosts]
        urls = [server.give(f"/{n}", status_of(302, Location=url)) for n, url in enumerate(targets)]
        found = reasons(tmp_path, urls, chosen=settings(attempts=1), resolver=Names(NAMES), guard=Watching(here))

    assert set(found) <= {"blocked_address", "refused_url"}
    assert server.requests.total() == len(urls)
    assert stand_in.connections == 0


def test_x07_a_name_that_is_public_first_and_private_then_is_looked_at_each_time(tmp_path: Path) -> None:
    sockets = Counting()
    names = Names({"rebinding.example": ["93.184.216.34", "127.0.0.2"]})
    guard = Guard(make=sockets)  # type: ignore[arg-type]  # makes none

    with pytest.raises(SourceDown):
        fetch(tmp_path, located({"1": "http://rebinding.example/a"}), settings(attempts=1), resolver=names, guard=guard)
    found = reasons(tmp_path, ["http://rebinding.example/a"], resolver=names, guard=guard)

    assert found == ["blocked_address"]
    assert (names.asked, sockets.made) == (2, 1)


def test_x07_one_private_address_among_public_ones_blocks_the_name() -> None:
    assert refusal("93.184.216.34", 443) is None
    assert refusal("2606:2800:220:1:248:1893:25c8:1946", 443) is None
    assert refusal("64:ff9b::5db8:d822", 443) is None, "NAT64 of a public address"


@pytest.mark.parametrize(
    "url",
    [
        *(
            "file:///etc/hostname",
            "ftp://example.com/a",
            "gopher://example.com/",
            "data:image/png;base64,AA",
            "jar:http:a",
        ),
        *("javascript:alert(1)", "//example.com/a", "/etc/hostname", "", "http://", "http:///a", "https://:443/"),
        *("http://user:word@example.com/", "http://user@example.com/", "http://example.com\\@127.0.0.1/"),
        *(
            "http://exa mple.com/",
            "http://example.com/\r\nHost: x",
            "http://example.com:99999/",
            "http://[::1",
            "http://\0/",
        ),
        *("http://[fe80::1%ä]/", "http://[fe80::1%25eth0]/", "http://ex%61mple.com/", "http://*/", "http://a,b/"),
        *(r"\\server\share", "s3://bucket/key", "http://example.com/" + "a" * 9000),
    ],
)
def test_x08_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedUrl):
        checked_url(url)


@pytest.mark.parametrize("port", [22, 25, 6379, 11211, 1, 65535])
def test_x08_other_ports_are_refused(port: int) -> None:
    assert refusal("93.184.216.34", port)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_x09_a_proxy_of_the_environment_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, stand_in: WebServer
) -> None:
    before = stand_in.connections
    monkeypatch.setenv(variable, stand_in.url(""))
    with WebServer() as server:
        found = fetch(tmp_path, located({"1": server.give("/a", IMAGE)}))

    assert found["state"].to_list() == ["stored"]
    assert stand_in.connections == before


def test_n12_https_is_left_only_where_the_settings_say_so() -> None:
    secure = URL("https://example.com/a")

    assert str(redirected(secure, "http://example.com/b", allow_downgrade=True)) == "http://example.com/b"
    assert str(redirected(URL("http://example.com/a"), "https://example.com/b", False)) == "https://example.com/b"
    with pytest.raises(RefusedUrl, match="allow_http_downgrade"):
        redirected(secure, "http://example.com/b", allow_downgrade=False)


def test_n18_a_redirect_with_a_password_in_it_is_refused_and_not_repeated() -> None:
    with pytest.raises(RefusedUrl) as refused:
        redirected(URL("https://example.com/a"), "https://me:hunter2@example.com/b", False)

    assert "hunter2" not in str(refused.value)


@given(st.ip_addresses(network="10.0.0.0/8") | st.ip_addresses(network="fc00::/7") | st.ip_addresses(network="::/96"))
def test_an_address_of_a_private_network_is_refused_unless_it_is_allowed(address: Any) -> None:
    assert refusal(str(address), 80)
    assert refusal(str(address), 80, parse_networks(["0.0.0.0/0", "::/0"])) is None
