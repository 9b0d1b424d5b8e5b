import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dataset_assets.storage import buckets, listings
from dataset_assets.storage.archives import LocationMissing, TooLarge
from dataset_assets.storage.bucket_access import Access, AccessDenied, BucketUnusable, SourceDown, Unread
from dataset_assets.storage.buckets import list_objects, read_object, require_bucket
from dataset_assets.storage.listings import list_bucket
from dataset_assets.storage.locations import Locations
from dataset_assets_tests.faulty_proxy import VISIBLE_FAULTS, FaultyProxy, Reply, Request, faulty_proxy, s3_error
from dataset_assets_tests.s3_server import CREDENTIALS, make_bucket, s3_client, s3_server

NOISE = random.Random(10)
IMAGES = {f"original/{number % 7:04d}/{number}.png": NOISE.randbytes(4000) for number in range(40)}
STRANGE = ["a b.png", "100%.png", "%20.png", "雪/ねこ (1)!.png", "q?x#y&z+.png", "e\u0301.png", "back\\slash.png"]
UNREADABLE = ["a//b.png", "c/../d.png", "./e.png", "ctl\x01.png"]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as number:
        make_bucket(number, "images", IMAGES)
        yield number


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    forget()
    yield
    forget()


def forget() -> None:
    """What a new process would not know."""
    buckets._store.cache_clear()
    buckets._HEALTH._failures.clear()
    buckets._OTHER_ETAGS.clear()
    listings._KEPT.clear()


@pytest.fixture
def proxy(port: int) -> Iterator[FaultyProxy]:
    with faulty_proxy(port) as between:
        yield between


def through(proxy: FaultyProxy) -> Access:
    return Access(endpoint=proxy.endpoint)


def names(pages: Iterator[list[buckets.Listed]]) -> list[str]:
    return [each.key for page in pages for each in page]


def always(status: int, code: str) -> Callable[[Request], Reply]:
    return lambda request: s3_error(status, code)


def test_s10_of_requests_with_faults_each_object_is_listed_and_read_whole(proxy: FaultyProxy) -> None:
    proxy.share, proxy.faults, proxy.slow_s = 0.3, VISIBLE_FAULTS, 0.05

    found = names(list_objects("images", "original/", through(proxy)))
    with ThreadPoolExecutor(4) as readers:
        read = list(readers.map(lambda key: read_object(f"s3://images/{key}", 10_000, through(proxy)), found))

    assert dict(zip(found, read, strict=True)) == IMAGES
    assert proxy.faulted() >= 10


def test_s10_a_listing_whose_pages_are_cut_goes_on_where_it_was(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buckets, "KEYS_PER_PAGE", 5)
    with faulty_proxy(port, share=0.3, faults=["cut_close", "reset", "slow_down"], seed=3) as between:
        assert names(list_objects("images", "original/", through(between))) == sorted(IMAGES)
        assert between.faulted() >= 3


def test_s11_flipped_bytes_are_found_by_the_etag_and_read_again(proxy: FaultyProxy) -> None:
    proxy.share, proxy.faults = 0.3, ["flip"]
    proxy.hits = lambda request: "list-type" not in request.path

    for key, content in IMAGES.items():
        assert read_object(f"s3://images/{key}", 10_000, through(proxy)) == content
    assert proxy.faulted() >= 5


def test_s11_an_object_that_never_comes_the_same_twice_is_not_taken(proxy: FaultyProxy) -> None:
    noise = random.Random(3)
    headers = (("ETag", f'"{hashlib.md5(b"true").hexdigest()}"'), ("Last-Modified", "Wed, 21 Oct 2026 07:28:00 GMT"))
    proxy.answer = lambda request: Reply(200, noise.randbytes(50), headers)

    with pytest.raises(Unread, match="4 readings gave 4 different contents"):
        read_object("s3://images/a.png", 10_000, through(proxy))


def test_an_etag_that_is_no_md5_is_no_reason_to_lose_an_object(port: int, proxy: FaultyProxy) -> None:
    client = s3_client(port)
    upload = client.create_multipart_upload(Bucket="images", Key="parts/a.png")
    part = client.upload_part(
        Bucket="images", Key="parts/a.png", UploadId=upload["UploadId"], PartNumber=1, Body=b"in parts"
    )
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    client.complete_multipart_upload(
        Bucket="images", Key="parts/a.png", UploadId=upload["UploadId"], MultipartUpload=parts
    )
    client.close()

    assert read_object("s3://images/parts/a.png", 100, through(proxy)) == b"in parts"
    assert proxy.counts["GET ok"] == 2, "over plain HTTP two readings must agree"


@pytest.mark.parametrize("status", [400, 403])
def test_s16_expired_credentials_stop_the_run_and_call_no_image_missing(proxy: FaultyProxy, status: int) -> None:
    proxy.answer = always(status, "ExpiredToken")

    for ask in (
        lambda: read_object("s3://images/a.png", 100, through(proxy)),
        lambda: next(list_objects("images", "", through(proxy))),
    ):
        with pytest.raises(SourceDown, match="credentials have expired"):
            ask()


def test_s16_credentials_that_were_renewed_meanwhile_are_taken_up(
    proxy: FaultyProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def sign_with(key: str) -> None:
        file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n", "utf-8")

    [(first, content), (second, other)] = list(IMAGES.items())[:2]
    sign_with("FORMER")
    assert read_object(f"s3://images/{first}", 10_000, through(proxy)) == content
    proxy.answer = lambda request: (
        s3_error(403, "ExpiredToken") if "FORMER" in request.headers["authorization"] else None
    )
    sign_with("RENEWED")

    assert read_object(f"s3://images/{second}", 10_000, through(proxy)) == other


def test_s16_without_credentials_it_is_said_what_to_do(
    port: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    access = Access(endpoint=f"http://127.0.0.1:{port}")
    key, content = next(iter(IMAGES.items()))

    for ask in (
        lambda: read_object(f"s3://images/{key}", 10_000, access),
        lambda: next(list_objects("images", "", access)),
    ):
        with pytest.raises(BucketUnusable, match="no credentials were found; set AWS_PROFILE"):
            ask()

    public = Access(endpoint=access.endpoint, unsigned=True)
    with pytest.raises(AccessDenied):
        read_object(f"s3://images/{key}", 10_000, public)
    client = s3_client(port)
    client.put_object(Bucket="images", Key=key, Body=content, ACL="public-read")
    client.close()
    assert read_object(f"s3://images/{key}", 10_000, public) == content
    assert names(list_objects("images", "", public))


def test_x16_no_message_repeats_a_token_that_the_server_sent_back(proxy: FaultyProxy) -> None:
    body = b"<Error><Code>ExpiredToken</Code><Message>expired</Message><Token-0>TOPSECRET</Token-0></Error>"
    proxy.answer = lambda request: Reply(400, body)

    with pytest.raises(SourceDown) as stopped:
        read_object("s3://images/a.png", 100, through(proxy))
    assert "TOPSECRET" not in str(stopped.value)
    assert stopped.value.__suppress_context__


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://imagse/original", "there is no such bucket; see `images`"),
        ("s3://images/orignal", "no key begins with 'orignal'"),
        ("s3://empty", "is empty"),
    ],
)
def test_s17_a_typo_is_refused_before_any_work(port: int, uri: str, said: str) -> None:
    if uri == "s3://empty":
        make_bucket(port, "empty")

    with pytest.raises(BucketUnusable, match=said):
        require_bucket(uri, Access(endpoint=f"http://127.0.0.1:{port}"))


def test_s17_an_object_of_a_bucket_that_is_gone_is_not_called_missing(port: int) -> None:
    access = Access(endpoint=f"http://127.0.0.1:{port}")

    with pytest.raises(BucketUnusable, match="no such bucket"):
        read_object("s3://imagse/original/a.png", 100, access)
    with pytest.raises(LocationMissing, match="no such object"):
        read_object("s3://images/original/a.png", 100, access)


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_s17_a_wrong_region_is_told(proxy: FaultyProxy, code: str) -> None:
    told = s3_error(400 if code.startswith("Auth") else 301, code)
    proxy.answer = lambda request: Reply(told.status, told.body, (("x-amz-bucket-region", "eu-north-1"),))

    for ask in (
        lambda: read_object("s3://images/a.png", 100, through(proxy)),
        lambda: next(list_objects("images", "", through(proxy))),
    ):
        with pytest.raises(BucketUnusable, match=r"another region; see `s3\.region`"):
            ask()


@pytest.mark.slow
def test_s18_keys_of_several_pages_with_blanks_percent_and_unicode_are_listed_and_read(port: int) -> None:
    many = {f"plain/{number:04d}.png": b"" for number in range(1003)}
    make_bucket(port, "strange", many | {f"odd/{name}": name.encode() for name in [*STRANGE, *UNREADABLE]})
    access = Access(endpoint=f"http://127.0.0.1:{port}")

    assert names(list_objects("strange", "plain/", access)) == sorted(many)
    found = list_bucket("s3://strange/odd", access, lambda line: None)
    readable = found.filter(found["problem"].is_null())
    read = {name: read_object(place, 100, access) for name, place in readable.select("name", "location").iter_rows()}

    assert set(found["name"]) == {*STRANGE, *UNREADABLE}
    assert {name: content.decode() for name, content in read.items()} == {
        name: name for name in STRANGE if "\\" not in name
    }


def test_s19_a_wrong_clock_is_told(proxy: FaultyProxy) -> None:
    proxy.answer = always(403, "RequestTimeTooSkewed")

    for ask in (
        lambda: read_object("s3://images/a.png", 100, through(proxy)),
        lambda: next(list_objects("images", "", through(proxy))),
    ):
        with pytest.raises(SourceDown, match="check the clock"):
            ask()


def test_an_object_that_may_not_be_read_is_denied_not_missing(proxy: FaultyProxy) -> None:
    proxy.answer = always(403, "AccessDenied")

    with pytest.raises(AccessDenied):
        read_object("s3://images/a.png", 100, through(proxy))
    with pytest.raises(BucketUnusable, match="cannot be listed"):
        next(list_objects("images", "", through(proxy)))


def test_one_object_that_fails_is_unread_and_several_in_a_row_are_a_bucket_that_is_down(
    proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buckets, "RETRIES", 0)
    proxy.answer = lambda request: s3_error(500, "InternalError") if "bad" in request.path else None
    key, content = next(iter(IMAGES.items()))

    for _ in range(buckets.FAILURES_IN_A_ROW - 1):
        with pytest.raises(Unread, match="InternalError"):
            read_object("s3://images/bad.png", 100, through(proxy))
    assert read_object(f"s3://images/{key}", 10_000, through(proxy)) == content
    for _ in range(buckets.FAILURES_IN_A_ROW - 1):
        with pytest.raises(Unread):
            read_object("s3://images/bad.png", 100, through(proxy))
    with pytest.raises(SourceDown, match="5 objects in a row"):
        read_object("s3://images/bad.png", 100, through(proxy))


def test_a_bucket_that_nobody_serves_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataset_assets.storage.bucket_access.RETRIES", 0)

    with pytest.raises(SourceDown, match="try again later"):
        next(list_objects("images", "", Access(endpoint="http://127.0.0.1:1")))


def test_an_object_over_the_limit_is_not_read(port: int) -> None:
    with pytest.raises(TooLarge, match="4,000 bytes, expected at most 3,999"):
        read_object(f"s3://images/{next(iter(IMAGES))}", 3999, Access(endpoint=f"http://127.0.0.1:{port}"))


def test_a_mark_changes_with_the_content_and_not_with_the_time(port: int) -> None:
    access, client = Access(endpoint=f"http://127.0.0.1:{port}"), s3_client(port)

    def mark_of(content: bytes) -> int:
        client.put_object(Bucket="images", Key="mark/a.png", Body=content)
        return next(list_objects("images", "mark/", access))[0].mark

    first, same, other = mark_of(b"one"), mark_of(b"one"), mark_of(b"two")
    client.close()

    assert first == same != other
    assert 0 <= other < 2**63


def test_a_listing_serves_again_within_the_process_unless_it_is_to_be_made_anew(proxy: FaultyProxy) -> None:
    access = through(proxy)
    first = list_bucket("s3://images/original", access, lambda line: None)
    asked = len(proxy.requests)

    assert list_bucket("s3://images/original", access, lambda line: None) is first
    assert len(proxy.requests) == asked
    assert list_bucket("s3://images/original", access, lambda line: None, anew=True).equals(first)
    assert len(proxy.requests) > asked


def test_every_kind_of_location_is_read_through_one_seam(port: int, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"here")
    key, content = next(iter(IMAGES.items()))
    everywhere = Locations({"images": Access(endpoint=f"http://127.0.0.1:{port}")})

    assert everywhere.read(str(tmp_path / "a.png"), 10) == b"here"
    assert everywhere.read(f"s3://images/{key}", 10_000) == content
