"""Every way in which a host can fail, one test for each case of the catalogue."""

import asyncio
import gzip
import hashlib
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import psutil
import pytest

from dataset_assets.domain.states import is_lawful
from dataset_assets.storage.blobs import Blobs
from dataset_assets.storage.bucket_access import SourceDown
from dataset_assets_tests.fetching import Names, SkippingClock, fetch, located, settings
from dataset_assets_tests.mirror import picture
from dataset_assets_tests.web_server import Request, WebServer, bytes_of, one_after_another, status_of

IMAGE = picture(1)
LARGE = picture(2, (3000, 2000), "BMP")
MD5 = hashlib.md5(IMAGE).hexdigest()


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer() as running:
        running.give("/good.png", IMAGE)
        yield running


def one(
    root: Path, url: str, beside: WebServer | None = None, md5: str | None = None, **changed: Any
) -> dict[str, Any]:
    """The row of one URL; `beside` it, a good image is fetched, so that the network is seen to be there."""
    clock = changed.pop("clock", None)
    urls = {"1": url, **({"2": beside.url("/good.png")} if beside else {})}
    rows = located(urls, md5=[md5, *[None] * (len(urls) - 1)])
    found = fetch(root, rows, settings(**changed), clock=clock)
    assert all(is_lawful(state, reason) for state, reason in found.select("state", "reason").iter_rows())
    if beside:
        assert found.row(1, named=True)["state"] == "stored"
    return found.row(0, named=True)


def files(root: Path) -> list[Path]:
    """All that was left on the disk."""
    return sorted(file for file in root.rglob("*") if file.is_file())


@pytest.mark.parametrize("status", [404, 410, 451])
def test_n01_a_file_that_is_gone_is_asked_for_once(tmp_path: Path, server: WebServer, status: int) -> None:
    row = one(tmp_path, server.give("/a", status_of(status)), server)

    assert (row["state"], row["reason"], row["http_status"]) == ("quarantined", "gone", status)
    assert row["next_try_at"] is None
    assert server.requests["/a"] == 1


def test_n02_a_busy_host_is_left_alone_as_long_as_it_asks(tmp_path: Path, server: WebServer) -> None:
    clock = SkippingClock()
    busy = one_after_another(status_of(503, Retry_After="7"), status_of(429, Retry_After="30"), bytes_of(IMAGE))

    row = one(tmp_path, server.give("/a", busy), clock=clock)

    assert (row["state"], row["attempts"]) == ("stored", 1)
    assert [wait for wait in clock.waits if wait > 1] == [7.0, 30.0]


def test_n02_a_longer_wait_than_a_minute_is_for_a_later_run(tmp_path: Path, server: WebServer) -> None:
    clock = SkippingClock()

    row = one(tmp_path, server.give("/a", status_of(503, Retry_After="7200")), clock=clock)

    assert server.requests["/a"] == 1
    assert clock.passed < 60
    assert (row["next_try_at"] - clock.now()).total_seconds() == pytest.approx(7200)


def test_n03_a_server_error_for_ever_stays_pending(tmp_path: Path, server: WebServer) -> None:
    row = one(tmp_path, server.give("/a", status_of(500)))

    assert (row["state"], row["reason"], row["http_status"]) == ("pending", "server_error", 500)
    assert server.requests["/a"] == 3
    assert row["next_try_at"] is not None


def test_n03_a_host_that_fails_file_after_file_is_given_up_in_this_run(tmp_path: Path, server: WebServer) -> None:
    urls = {str(post): server.give(f"/{post}", status_of(500)) for post in range(200)}

    rows = fetch(tmp_path, located(urls), settings(per_host=4))

    by_reason = dict(rows.group_by("reason").len().iter_rows())
    assert set(by_reason) == {"server_error", "host_down"}
    assert by_reason["server_error"] < 100
    assert set(rows["state"]) == {"pending"}
    assert rows.filter(reason="host_down")["attempts"].to_list() == [0] * by_reason["host_down"]


@pytest.mark.parametrize("sent", [0, 60, 200])
def test_n04_a_broken_connection_leaves_nothing_and_is_tried_again(
    tmp_path: Path, server: WebServer, sent: int
) -> None:
    async def broken(request: Request) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
        await request.send((head + IMAGE)[:sent])
        await asyncio.sleep(0.02)
        request.reset()

    row = one(tmp_path, server.give("/a", one_after_another(broken, broken, bytes_of(IMAGE))))

    assert (row["state"], row["md5"]) == ("stored", MD5)
    assert len(files(tmp_path)) == 1


def test_n05_a_body_shorter_than_announced_is_never_stored(tmp_path: Path, server: WebServer) -> None:
    async def short(request: Request) -> None:
        await request.reply(200, IMAGE[:100], {"Content-Length": str(len(IMAGE))})
        request.writer.close()

    row = one(tmp_path, server.give("/a", short))

    assert (row["state"], row["reason"], row["path"]) == ("pending", "cut_off", None)
    assert server.requests["/a"] == 3
    assert files(tmp_path) == []


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP"])
def test_n06_a_short_body_of_unsaid_length_is_never_stored(tmp_path: Path, server: WebServer, form: str) -> None:
    whole = picture(3, form=form)

    def closing(data: bytes) -> Any:
        async def answer(request: Request) -> None:
            await request.reply(200, data, {"Content-Length": "", "Connection": "close"})
            request.writer.close()

        return answer

    short = one(tmp_path, server.give("/short", closing(whole[: len(whole) // 2])))
    claimed = one(tmp_path, server.url("/short"), md5=hashlib.md5(whole).hexdigest(), md5_mismatch="quarantine")
    row = one(tmp_path, server.give("/whole", closing(whole)))

    assert (short["state"], short["reason"]) == ("pending", "cut_off")
    assert claimed["state"] != "stored"
    assert row["state"] == "stored"


def test_n07_a_drip_ends_at_the_total_timeout(tmp_path: Path, server: WebServer) -> None:
    async def drip(request: Request) -> None:
        await request.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode())
        for byte in IMAGE:
            await request.send(bytes([byte]))
            await asyncio.sleep(0.05)

    began = time.monotonic()
    row = one(tmp_path, server.give("/a", drip), attempts=1, timeout_s=0.5)

    assert (row["state"], row["reason"]) == ("pending", "too_slow")
    assert time.monotonic() - began < 3
    assert files(tmp_path) == []


def test_n07_a_drip_is_given_up_for_its_rate_before_that(tmp_path: Path, server: WebServer) -> None:
    class Fast(SkippingClock):
        def monotonic(self) -> float:
            return time.monotonic() * 100

    async def drip(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while True:
            await request.send(b"x")
            await asyncio.sleep(0.02)

    began = time.monotonic()
    row = one(tmp_path, server.give("/a", drip), attempts=1, clock=Fast())

    assert (row["state"], row["reason"]) == ("pending", "too_slow")
    assert "bytes in" in row["detail"]
    assert time.monotonic() - began < 3


def test_n08_an_endless_body_stops_at_the_limit_in_flat_memory(tmp_path: Path, server: WebServer) -> None:
    async def endless(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        while True:
            await request.send(piece)

    before = psutil.Process().memory_info().rss
    row = one(tmp_path, server.give("/a", endless), max_bytes=200_000_000)

    assert (row["state"], row["reason"]) == ("quarantined", "too_large")
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert server.requests["/a"] == 1
    assert files(tmp_path) == []


def test_n08_a_body_announced_as_too_large_is_not_read(tmp_path: Path, server: WebServer) -> None:
    row = one(tmp_path, server.give("/a", LARGE), max_bytes=1_000_000)

    assert (row["reason"], server.requests["/a"]) == ("too_large", 1)
    assert "announced" in row["detail"]


def test_n09_a_compressed_answer_is_not_unpacked(tmp_path: Path, server: WebServer) -> None:
    bomb = gzip.compress(bytes(50 << 20))

    row = one(tmp_path, server.give("/a", bytes_of(bomb, Content_Encoding="gzip")))

    assert (row["state"], row["reason"]) == ("pending", "bad_response")
    assert {seen["Accept-Encoding"] for seen in server.seen["/a"]} == {"identity"}


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><title>Log in</title>\x1b[31m", b'{"success":false}', b"\0" * 500])
def test_n10_a_page_that_claims_to_be_an_image_is_none(tmp_path: Path, server: WebServer, page: bytes) -> None:
    row = one(tmp_path, server.give("/a", bytes_of(page, Content_Type="image/jpeg")))

    assert (row["state"], row["reason"], row["path"]) == ("quarantined", "not_an_image", None)
    assert row["detail"].isprintable()
    assert server.requests["/a"] == 1


@pytest.mark.parametrize("path", ["/loop", "/hop/1"])
def test_n11_redirects_end_after_five(tmp_path: Path, server: WebServer, path: str) -> None:
    server.give("/loop", status_of(302, Location="/loop"))
    for hop in range(1, 21):
        server.give(f"/hop/{hop}", status_of(301, Location=f"/hop/{hop + 1}"))

    row = one(tmp_path, server.url(path))

    assert (row["state"], row["reason"]) == ("quarantined", "too_many_redirects")
    assert server.requests.total() == 6


def test_n11_five_redirects_are_followed(tmp_path: Path, server: WebServer) -> None:
    for hop in range(5):
        server.give(f"/hop/{hop}", status_of(308, Location=f"/hop/{hop + 1}"))
    server.give("/hop/5", IMAGE)

    assert one(tmp_path, server.url("/hop/0"))["state"] == "stored"


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 1000\r\n\r\nshort",
        b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
        b"Content-Length: 1000\r\n\r\n",
        b"\r\nan end that is not said",
        b"Transfer-Encoding: chunked\r\n\r\nno chunk at all\r\n",
    ],
    ids=["cut off", "long", "none", "of unsaid length", "broken"],
)
@pytest.mark.parametrize("is_left_open", [True, False])
def test_n11_a_redirect_is_followed_whatever_its_body_is(
    tmp_path: Path, server: WebServer, answer: bytes, is_left_open: bool
) -> None:
    async def moved(request: Request) -> None:
        await request.send(b"HTTP/1.1 302 Found\r\nLocation: /good.png\r\n" + answer)
        if is_left_open:
            await asyncio.sleep(10)
        request.writer.close()

    assert one(tmp_path, server.give("/a", moved), attempts=1, timeout_s=8)["state"] == "stored"


def test_n11_a_redirect_to_a_name_in_utf8_is_followed(tmp_path: Path, server: WebServer) -> None:
    async def moved(request: Request) -> None:
        await request.send("HTTP/1.1 302 Found\r\nLocation: /imgé.png\r\nContent-Length: 0\r\n\r\n".encode())

    server.give("/img%C3%A9.png", IMAGE)

    assert one(tmp_path, server.give("/a", moved))["state"] == "stored"


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/hostname",
        "ftp://127.0.0.1/a",
        "data:image/png;base64,AA",
        "gopher://127.0.0.1/",
        "javascript:alert(1)",
    ],
)
def test_n12_a_redirect_leads_to_no_other_scheme(tmp_path: Path, server: WebServer, location: str) -> None:
    row = one(tmp_path, server.give("/a", status_of(302, Location=location)))

    assert (row["state"], row["reason"]) == ("quarantined", "refused_url")


class NoNames:
    """A resolver that is down."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        raise OSError(-3, "Temporary failure in name resolution")


@pytest.mark.parametrize("hosts", [1, 5, 300])
def test_n13_without_names_the_run_fails_and_no_image_is_marked(tmp_path: Path, hosts: int) -> None:
    resolver = NoNames()
    urls = {str(post): f"http://host{post % hosts}.example/{post}.png" for post in range(1000)}

    with pytest.raises(SourceDown, match=r"dns_failed.*run again"):
        fetch(tmp_path, located(urls), resolver=resolver)

    assert 0 < resolver.asked < 3000


def test_n13_a_single_image_of_a_dead_network_fails_the_run_too(tmp_path: Path) -> None:
    with pytest.raises(SourceDown):
        fetch(tmp_path, located({"1": "http://host.example/a.png"}), resolver=NoNames())


def test_n13_one_dead_host_among_others_is_no_dead_network(tmp_path: Path, server: WebServer) -> None:
    with WebServer(host="127.0.0.2") as gone:
        dead = gone.url("/a.png")
    urls = {str(post): dead if post % 2 else server.url("/good.png") for post in range(200)}

    rows = fetch(tmp_path, located(urls), settings(allow_addresses=["127.0.0.0/8"]))

    assert dict(rows.group_by("state").len().iter_rows()) == {"stored": 100, "pending": 100}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=elsewhere.example"
    command += " -addext subjectAltName=DNS:elsewhere.example"
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return folder


def test_n14_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, server: WebServer, certificates: Path
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    with WebServer(tls=context) as secure:
        row = one(tmp_path, secure.give("/a", IMAGE), server)

    assert (row["state"], row["reason"]) == ("pending", "tls_failed")
    assert secure.requests.total() == 0, "nothing is said to a host that is not who it should be"


def test_n14_where_the_named_certificates_are_not_nobody_is_trusted(
    tmp_path: Path, server: WebServer, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "none.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    with WebServer(tls=context) as secure:
        row = one(tmp_path, secure.give("/a", IMAGE), server)

    assert (row["state"], row["reason"]) == ("pending", "tls_failed")


def test_n14_a_certificate_that_this_machine_trusts_is_good_for_its_own_name(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "cert.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    with WebServer(tls=context) as secure:
        secure.give("/a", IMAGE)
        hosts = {"1": "elsewhere.example", "2": "another.example"}
        urls = {post: f"https://{host}:{secure.port}/a" for post, host in hosts.items()}
        names = Names({host: ["127.0.0.1"] for host in hosts.values()})
        rows = fetch(tmp_path, located(urls), resolver=names)

    assert rows.select("state", "reason").rows() == [("stored", None), ("pending", "tls_failed")]


def test_n15_a_part_that_was_not_asked_for_is_no_file(tmp_path: Path, server: WebServer) -> None:
    async def part(request: Request) -> None:
        await request.reply(206, IMAGE[50:], {"Content-Range": f"bytes 50-{len(IMAGE) - 1}/{len(IMAGE)}"})

    row = one(tmp_path, server.give("/a", one_after_another(part, bytes_of(IMAGE))))
    never = one(tmp_path, server.give("/b", part))

    assert (row["state"], row["md5"]) == ("stored", MD5)
    assert (never["state"], never["reason"]) == ("pending", "bad_response")
    assert all("Range" not in seen for seen in server.seen["/a"])


def test_n16_other_bytes_than_claimed_are_kept_apart_after_a_second_look(tmp_path: Path, server: WebServer) -> None:
    row = one(tmp_path, server.give("/a", IMAGE), md5="0" * 32)

    assert (row["state"], row["reason"], row["md5_matches"]) == ("quarantined", "md5_mismatch", False)
    assert (row["md5_claimed"], row["md5"]) == ("0" * 32, MD5)
    assert server.requests["/a"] == 2
    assert row["path"].startswith("images/quarantine/")
    assert Blobs(tmp_path).get(row["path"]) == IMAGE


def test_n16_they_are_stored_where_the_settings_say_so(tmp_path: Path, server: WebServer) -> None:
    row = one(tmp_path, server.give("/a", IMAGE), md5="0" * 32, md5_mismatch="store")

    assert (row["state"], row["md5_matches"]) == ("stored", False)


def test_n16_a_line_that_flips_bits_is_asked_again(tmp_path: Path, server: WebServer) -> None:
    flipped = IMAGE[:200] + bytes([IMAGE[200] ^ 1]) + IMAGE[201:]

    row = one(tmp_path, server.give("/a", one_after_another(bytes_of(flipped), bytes_of(IMAGE))), md5=MD5)

    assert (row["state"], row["md5_matches"]) == ("stored", True)
    assert len(files(tmp_path)) == 1


def test_n17_a_placeholder_is_withheld(tmp_path: Path, server: WebServer) -> None:
    urls = {str(post): server.give(f"/{post}", IMAGE) for post in range(20)}

    rows = fetch(tmp_path, located(urls), settings(placeholders=[MD5]))

    assert set(rows.select("state", "reason").iter_rows()) == {("excluded", "withheld")}
    assert files(tmp_path) == []


def test_n18_nothing_secret_goes_to_another_host(tmp_path: Path, server: WebServer) -> None:
    with WebServer(host="127.0.0.2") as other:
        other.give("/b", IMAGE)
        server.give("/a", status_of(302, Location=other.url("/b"), Set_Cookie="session=secret; Path=/"))
        server.give("/c", status_of(302, Location="/d", Set_Cookie="session=secret; Path=/"))
        server.give("/d", IMAGE)
        allowed = ["127.0.0.0/8"]
        for path in ("/a", "/c"):
            row = one(
                tmp_path,
                server.url(path),
                headers={"Referer": "https://me.example", "DNT": ""},
                allow_addresses=allowed,
            )
            assert row["state"] == "stored"

    assert server.seen["/a"][0]["Referer"] == server.seen["/d"][0]["Referer"] == "https://me.example"
    sent = [*other.seen["/b"], *server.seen["/d"]]
    assert not [seen for seen in sent if {"Cookie", "Authorization"} & set(seen)]
    assert "Referer" not in other.seen["/b"][0]
    assert server.seen["/a"][0]["DNT"] == "", "a field without a value is sent too"


@pytest.mark.parametrize(
    "value", ["noai", "noai, noimageai", "otherbot: noindex, noai, dataset_assets: noai", "NoIndex"]
)
def test_n19_a_host_that_opts_out_is_heard_once(tmp_path: Path, server: WebServer, value: str) -> None:
    row = one(tmp_path, server.give("/a", bytes_of(IMAGE, X_Robots_Tag=value)))

    assert (row["state"], row["reason"], row["next_try_at"]) == ("excluded", "opted_out", None)
    assert server.requests["/a"] == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("value", ["otherbot: noai", "nofollow", "max-image-preview: large"])
def test_n19_what_is_said_to_others_does_not_count(tmp_path: Path, server: WebServer, value: str) -> None:
    assert one(tmp_path, server.give("/a", bytes_of(IMAGE, X_Robots_Tag=value)))["state"] == "stored"


@pytest.mark.parametrize(
    "headers",
    [
        b"X: " + b"y" * 1_000_000,
        b"\r\n".join(b"X-%d: y" % n for n in range(100_000)),
        b"Content-Length: -5",
        b"\xff\0: x",
    ],
    ids=["one of a megabyte", "a hundred thousand", "a negative length", "no header"],
)
def test_n20_hostile_headers_cost_one_row(tmp_path: Path, server: WebServer, headers: bytes) -> None:
    async def bomb(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n\r\n" + IMAGE)
        request.writer.close()

    before = psutil.Process().memory_info().rss
    row = one(tmp_path, server.give("/a", bomb), server)

    assert (row["state"], row["path"]) == ("pending", None)
    assert psutil.Process().memory_info().rss - before < 100 << 20


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"0" * 5000 + b"5\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: " + b"9" * 5000 + b"\r\n",
        b"HTTP/1.1 40000 No\r\n",
        b"HTTP/1.1 " + b"4" * 5000 + b" No\r\n",
        b"HTTP/1.1 503 No\r\nRetry-After: Mon, 01 Jan 2001 00:00:00 +999999999999999\r\n",
    ],
    ids=["many noughts", "a long length", "a long status", "a longer status", "a year that is none"],
)
def test_n20_numbers_that_are_none_cost_one_row(tmp_path: Path, server: WebServer, head: bytes) -> None:
    async def strange(request: Request) -> None:
        await request.send(head + b"\r\nnothing")
        request.writer.close()

    row = one(tmp_path, server.give("/a", strange), server, attempts=1)

    assert row["state"] in ("pending", "quarantined")
    assert row["http_status"] in (None, 200, 404, 503)
    assert row["path"] is None


def test_n20_a_tag_that_is_no_plain_text_is_not_sent_back(tmp_path: Path, server: WebServer) -> None:
    async def tagged(request: Request) -> None:
        head = f'HTTP/1.1 200 OK\r\nETag: "é"\r\nLast-Modified: gestern, ä\r\nContent-Length: {len(IMAGE)}\r\n\r\n'
        await request.send(head.encode() + IMAGE)

    rows = located({"1": server.give("/a", tagged)})
    first = fetch(tmp_path, rows)
    again = fetch(tmp_path, rows, previous=first.with_columns(etag=pl.lit('"日本"')))

    assert first.select("state", "etag", "last_modified").rows() == [("stored", None, None)]
    assert again["state"].to_list() == ["stored"]


def test_a_large_body_goes_through_a_file_and_arrives_whole(tmp_path: Path, server: WebServer) -> None:
    row = one(tmp_path, server.give("/a", LARGE), md5=hashlib.md5(LARGE).hexdigest())

    assert (row["state"], row["size"]) == ("stored", len(LARGE))
    assert row["sha256"] == hashlib.sha256(Blobs(tmp_path).get(row["path"])).hexdigest()
    assert len(files(tmp_path)) == 1


def test_a_held_file_is_asked_for_with_what_its_host_said_of_it(tmp_path: Path, server: WebServer) -> None:
    async def answer(request: Request) -> None:
        if request.headers.get("If-None-Match") == '"v1"':
            await request.reply(304, headers={"ETag": '"v1"'})
        else:
            await request.reply(200, IMAGE, {"ETag": '"v1"', "Last-Modified": "Sat, 21 Nov 2026 06:00:00 GMT"})

    rows = located({"1": server.give("/a", answer)})
    first = fetch(tmp_path, rows)
    second = fetch(tmp_path, rows, previous=first)
    (tmp_path / first["path"][0]).unlink()
    third = fetch(tmp_path, rows, previous=first)

    assert server.seen["/a"][1]["If-Modified-Since"] == "Sat, 21 Nov 2026 06:00:00 GMT"
    assert second["http_status"].to_list() == [304]
    assert second.drop("http_status").equals(first.drop("http_status"))
    assert third["http_status"].to_list() == [200], "a file that is gone is asked for without conditions"


def test_files_that_are_unchanged_cost_one_connection(tmp_path: Path, server: WebServer) -> None:
    async def answer(request: Request) -> None:
        told = {"ETag": '"v1"', "Content-Length": ""}
        await (
            request.reply(304, headers=told)
            if "If-None-Match" in request.headers
            else request.reply(200, IMAGE, {"ETag": '"v1"'})
        )

    rows = located({str(post): server.give(f"/{post}", answer) for post in range(1, 21)})
    first = fetch(tmp_path, rows)
    before = server.connections
    again = fetch(tmp_path, rows, settings(concurrency=1), previous=first)

    assert set(again["http_status"]) == {304}
    assert server.connections == before + 1


def test_a_pending_file_is_tried_later_and_later(tmp_path: Path, server: WebServer) -> None:
    rows, waits = located({"1": server.give("/a", status_of(500))}), []
    previous: pl.DataFrame | None = None
    for _ in range(3):
        clock = SkippingClock()
        previous = fetch(tmp_path, rows, clock=clock, previous=previous)
        waits.append(round((previous["next_try_at"][0] - clock.now()).total_seconds() / 60))

    assert waits == [5, 20, 80]
    assert previous is not None
    assert previous["attempts"].to_list() == [3]
