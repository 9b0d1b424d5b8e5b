"""Exchanges by libcurl: what a host says first, names asked for once, connections that are kept."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest
from yarl import URL

from dataset_assets.domain.addresses import parse_networks
from dataset_assets.storage.http_guard import Guard
from dataset_assets.storage.http_lines import ExchangeFailed, Head, Lines
from dataset_assets_tests.fetching import LOOPBACK, Names, fetch, located, settings
from dataset_assets_tests.mirror import picture
from dataset_assets_tests.web_server import Request, WebServer, bytes_of, status_of

IMAGE = picture(1)


class Kept:
    """A reader that keeps all it is given."""

    def __init__(self) -> None:
        self.body = b""

    def headed(self, head: Head) -> None:
        self.head = head

    def came(self, piece: bytes) -> None:
        self.body += piece


def within(work: Callable[[Lines], Awaitable[None]], resolver: Names | None = None) -> None:
    async def main() -> None:
        lines = Lines(Guard(parse_networks(LOOPBACK)), resolver)
        try:
            await work(lines)
        finally:
            await lines.close()

    asyncio.run(main())


def test_the_last_answer_counts_and_a_field_may_come_twice() -> None:
    early = [b"HTTP/1.1 103 Early Hints\r\n", b"X-Robots-Tag: noai\r\n", b"\r\n"]
    last = [b"HTTP/1.1 200 OK\r\n", b"Link: a\r\n", b"link:b \r\n", b"no field\r\n", b"\r\n"]

    head = Head.parse([*early, *last])

    assert (head.status, dict(head.fields)) == (200, {"link": ["a", "b"]})
    assert head.get("x-robots-tag") is None


def test_neither_a_field_nor_a_trailer_is_another_head() -> None:
    head = [b"HTTP/1.1 404 No\r\n", b"HTTP/1.1 200 OK: x\r\n", b"\r\n"]
    trailers = [b"HTTP/1.1 200 OK\r\n", b"Location: /a\r\n", b"\r\n"]

    assert Head.parse(head).status == 404
    assert (Head.parse([*head, *trailers]).status, Head.parse([*head, *trailers]).get("location")) == (404, None)


@pytest.mark.parametrize("line", [b"HTTP/1.1\r\n", b"HTTP/1.1 ok\r\n", b"HTTP/1.1 \xb2\r\n"])
def test_a_host_that_says_no_status_says_0(line: bytes) -> None:
    assert Head.parse([line]).status == 0


@pytest.mark.parametrize(
    ("fields", "length", "is_framed"),
    [
        ({}, None, False),
        ({"content-length": ["12"]}, 12, True),
        ({"transfer-encoding": ["chunked"]}, None, True),
        ({"content-length": ["12"], "transfer-encoding": ["chunked"]}, None, True),
        ({"content-length": ["²"]}, None, False),
        ({"content-length": ["000"]}, 0, True),
        ({"content-length": ["9" * 5000]}, None, False),
    ],
)
def test_a_body_has_an_end_where_the_host_says_so(
    fields: dict[str, list[str]], length: int | None, is_framed: bool
) -> None:
    head = Head(200, fields)

    assert (head.length, head.is_framed) == (length, is_framed)


def test_a_name_is_asked_for_once_and_its_connection_is_kept() -> None:
    names = Names({"here.example": ["127.0.0.1"]})
    with WebServer() as server:
        server.give("/a", IMAGE)
        url = URL(f"http://here.example:{server.port}/a")

        async def work(lines: Lines) -> None:
            await asyncio.gather(*(lines.exchange(url, [], Kept()) for _ in range(8)))
            opened = server.connections
            for _ in range(20):
                reader = Kept()
                await lines.exchange(url, [], reader)
                assert reader.body == IMAGE
            assert server.connections == opened <= 8

        within(work, names)

    assert names.asked == 1
    assert server.seen["/a"][0]["Host"] == f"here.example:{server.port}"


def test_no_more_connections_are_kept_than_allowed() -> None:
    names = Names({f"host{number}.example": ["127.0.0.1"] for number in range(60)})
    with WebServer() as server:
        server.give("/a", IMAGE)

        async def work() -> None:
            lines = Lines(Guard(parse_networks(LOOPBACK)), names, kept=8)
            for name in names.table:
                await lines.exchange(URL(f"http://{name}:{server.port}/a"), [], Kept())
            open_ones = [
                one for one in psutil.Process().net_connections() if one.raddr and one.raddr.port == server.port
            ]
            await lines.close()
            assert 0 < len(open_ones) <= 9

        asyncio.run(work())

    assert server.connections == 60


def test_a_line_is_there_again_after_a_failure() -> None:
    with WebServer() as server:
        server.give("/a", IMAGE)

        async def work(lines: Lines) -> None:
            for _ in range(5):
                with pytest.raises(ExchangeFailed):
                    await lines.exchange(URL("http://nowhere.example/a"), [], Kept())
                await lines.exchange(URL(f"http://here.example:{server.port}/a"), [], Kept())
            assert len(lines._idle) == 1

        within(work, Names({"here.example": ["127.0.0.1"]}))


def test_what_a_reader_raises_ends_the_exchange_and_no_other() -> None:
    class Refusing(Kept):
        def came(self, piece: bytes) -> None:
            raise LookupError("not that")

    with WebServer() as server:
        url = URL(server.give("/a", IMAGE))

        async def work(lines: Lines) -> None:
            first, second = Refusing(), Kept()
            found = await asyncio.gather(
                lines.exchange(url, [], first), lines.exchange(url, [], second), return_exceptions=True
            )
            assert isinstance(found[0], LookupError)
            assert second.body == IMAGE

        within(work)


def test_an_exchange_that_is_left_half_way_is_over_for_its_host() -> None:
    left: list[bool] = []

    async def slow(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        try:
            while True:
                await request.send(b"x" * 1000)
                await asyncio.sleep(0.01)
        except OSError:
            left.append(True)
            raise

    with WebServer() as server:
        url = URL(server.give("/a", slow))

        async def work(lines: Lines) -> None:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await lines.exchange(url, [], Kept())
            for _ in range(100):
                await asyncio.sleep(0.02)
                if left:
                    break

        within(work)

    assert left


def test_a_name_without_an_address_is_told() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        return []

    async def work(lines: Lines) -> None:
        with pytest.raises(ExchangeFailed, match=r"nowhere\.example") as failed:
            await lines.exchange(URL("http://nowhere.example/a"), [], Kept())
        assert failed.value.reason == "dns_failed"

    within(work, nowhere)  # type: ignore[arg-type]


def test_a_page_in_the_place_of_a_file_costs_no_connection(tmp_path: Path) -> None:
    with WebServer(default=status_of(404)) as server:
        server.give("/moved", status_of(302, Location="/here"))
        server.give("/here", bytes_of(IMAGE))

        async def chunked(request: Request) -> None:
            await request.send(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nno!\r\n0\r\n\r\n")

        server.give("/gone", chunked)
        urls = {str(post): server.url("/moved" if post % 2 else "/gone") for post in range(1, 31)}
        rows = fetch(tmp_path, located(urls), settings(per_host=1, concurrency=1))

    assert dict(rows.group_by("state").len().iter_rows()) == {"stored": 15, "quarantined": 15}
    assert server.connections == 1
