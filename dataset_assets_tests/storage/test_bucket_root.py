import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataset_assets.domain.schemas import Column, Table
from dataset_assets.places import S3Place, parse_s3_url
from dataset_assets.storage.blobs import BlobMissing, Blobs
from dataset_assets.storage.bucket_root import Bucket
from dataset_assets.storage.index_files import IndexFileMissing, IndexFiles
from dataset_assets.storage.leases import Lease, lease
from dataset_assets.storage.locks import PartitionLocked
from dataset_assets.storage.root import RootUnavailable, WrongRoot
from dataset_assets.storage.snapshots import DamagedSnapshot, Snapshot, Snapshots
from dataset_assets.storage.tables import Cell, Staged, Tables
from dataset_assets_tests.buckets import BUCKET, PREFIX, credentials, objects, place
from dataset_assets_tests.faulty_proxy import ALL_FAULTS, Reply, Request, faulty_proxy, s3_error
from dataset_assets_tests.s3_server import CREDENTIALS, s3_client, s3_server

__all__ = ["credentials"]

COLOURS = Table("colours", "image", (Column("image_id", pl.String, "name"), Column("colour", pl.String, "colour")))
CELL = Cell("danbooru", 2019)
DATA = "tables/colours/source=danbooru/year=2019/data.parquet"
SEED = 20261121


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with s3_server() as port:
        yield port


@pytest.fixture
def port(server: int) -> int:
    """The server with an empty bucket."""
    client = s3_client(server)
    if BUCKET not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
        client.create_bucket(Bucket=BUCKET)
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])
    client.close()
    return server


@pytest.fixture
def at(port: int, tmp_path: Path) -> S3Place:
    return place(port, tmp_path / "cache")


def rows(*colours: str) -> pl.DataFrame:
    return COLOURS.frame([{"image_id": f"danbooru-{i}-0", "colour": colour} for i, colour in enumerate(colours)])


def commit(tables: Tables, frame: pl.DataFrame, run_id: str = "run-1", cell: Cell = CELL) -> None:
    tables.commit(tables.stage(COLOURS, cell, frame), run_id)


def colours(tables: Tables, cell: Cell = CELL) -> list[str]:
    return tables.scan(COLOURS, cell).collect().get_column("colour").to_list()


def elsewhere(at: S3Place, tmp_path: Path, name: str = "elsewhere") -> S3Place:
    """The same root as another machine sees it."""
    return replace(at, cache=tmp_path / name)


# --- what is stored


def test_a_partition_in_a_bucket_has_the_bytes_that_it_has_on_a_disk(at: S3Place, port: int, tmp_path: Path) -> None:
    tables, local = Tables(at), Tables(tmp_path / "disk")
    for one in (tables, local):
        commit(one, rows("red", "green"))

    assert objects(port)[DATA] == local.file("colours", CELL).read_bytes()
    assert tables.commit_of("colours", CELL).sha256 == local.commit_of("colours", CELL).sha256  # type: ignore[union-attr]
    assert tables.shown("colours", CELL) == f"s3://{BUCKET}/{PREFIX}/{DATA}"


def test_another_machine_reads_what_one_has_committed(at: S3Place, tmp_path: Path) -> None:
    commit(Tables(at), rows("red"))
    commit(Tables(at), rows("blue"), cell=Cell("danbooru", 2020))
    other = Tables(elsewhere(at, tmp_path))

    assert other.names() == ["colours"]
    assert other.cells("colours") == [CELL, Cell("danbooru", 2020)]
    everything = other.scan_all("colours")
    assert everything is not None
    assert everything.sort("year").collect().select("colour", "source", "year").rows() == [
        ("red", "danbooru", 2019),
        ("blue", "danbooru", 2020),
    ]
    assert other.scan(COLOURS, Cell("danbooru", 2021)).collect().is_empty()
    assert not other.file("colours", Cell("danbooru", 2021)).exists()


def test_a_table_is_fetched_once_and_again_when_it_is_replaced(at: S3Place, port: int, tmp_path: Path) -> None:
    commit(Tables(at), rows("red"))
    with faulty_proxy(port) as proxy:
        other = Tables(elsewhere(place(proxy.port, at.cache), tmp_path))
        for _ in range(3):
            assert colours(other) == ["red"]
        assert sum(request.method == "GET" for request in proxy.requests) == 1
        commit(Tables(at), rows("blue"))
        assert colours(other) == ["blue"]
        assert sum(request.method == "GET" for request in proxy.requests) == 2


def test_content_that_is_there_already_is_not_put_again_and_a_new_recipe_is_noted(at: S3Place, port: int) -> None:
    tables = Tables(at)
    tables.commit(tables.stage(COLOURS, CELL, rows("red"), "old"), "run-1")
    again = tables.commit(tables.stage(COLOURS, CELL, rows("red"), "old"), "run-2")
    assert again.run_id == "run-1"

    tables.commit(tables.stage(COLOURS, CELL, rows("red"), "new"), "run-3")

    found = Tables(at).commit_of("colours", CELL)
    assert found is not None
    assert (found.run_id, found.recipe) == ("run-1", "new")
    assert json.loads(objects(port)["_checksums/colours/source=danbooru/year=2019/data.json"])["recipe"] == "new"


def test_the_history_tells_the_run_of_each_row_and_old_histories_are_removed(at: S3Place, port: int) -> None:
    tables = Tables(at)
    first = tables.stage(COLOURS, CELL, rows("red", "green"))
    tables.commit(replace(first, computed_ids=pl.Series(["danbooru-0-0", "danbooru-1-0"])), "run-1")
    second = tables.stage(COLOURS, CELL, rows("red", "blue"))
    tables.commit(replace(second, computed_ids=pl.Series(["danbooru-1-0"])), "run-2")

    known = tables.history("colours", CELL).sort("image_id").collect()
    assert known.select("image_id", "run_id").rows() == [("danbooru-0-0", "run-1"), ("danbooru-1-0", "run-2")]
    assert len([name for name in objects(port) if name.startswith("_history/")]) == 1


def test_a_lost_or_foreign_object_is_damage_and_a_lost_record_is_not(at: S3Place, port: int) -> None:
    tables, client = Tables(at), s3_client(port)
    for year in (2019, 2020, 2021):
        commit(tables, rows("red", str(year)), cell=Cell("danbooru", year))
    assert tables.damaged() == []
    key = f"{PREFIX}/{DATA}"
    client.delete_object(Bucket=BUCKET, Key=key)
    client.put_object(Bucket=BUCKET, Key=key.replace("2019", "2020"), Body=b"not ours")
    client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/_checksums/colours/source=danbooru/year=2021/data.json")
    client.close()

    assert tables.damaged() == [("colours", CELL), ("colours", Cell("danbooru", 2020))]
    assert tables.is_intact("colours", Cell("danbooru", 2021), by_content=True)
    commit(tables, rows("mended"))
    assert tables.damaged() == [("colours", Cell("danbooru", 2020))]


def test_a_foreign_object_of_the_same_size_is_met_by_content_and_a_bad_copy_is_fetched_again(
    at: S3Place, port: int
) -> None:
    tables = Tables(at)
    commit(tables, rows("red"))
    copy = tables.file("colours", CELL)
    copy.write_bytes(copy.read_bytes()[::-1])
    assert tables.is_intact("colours", CELL, by_content=True)
    assert colours(tables) == ["red"]

    client = s3_client(port)
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/{DATA}", Body=objects(port)[DATA][::-1])
    client.close()
    assert tables.is_intact("colours", CELL)
    assert not tables.is_intact("colours", CELL, by_content=True)


def test_images_are_put_once_got_whole_and_missing_by_name(at: S3Place, port: int) -> None:
    blobs = Blobs(at)
    blobs.put("images/a.png", b"pixels")
    blobs.put("images/a.png", b"pixels")
    blobs.replace("sheets/a.jpg", b"first")
    blobs.replace("sheets/a.jpg", b"second")

    assert blobs.get("images/a.png") == b"pixels"
    assert blobs.get("sheets/a.jpg") == b"second"
    assert (blobs.size("images/a.png"), blobs.size("images/b.png")) == (6, None)
    with pytest.raises(BlobMissing, match=r"images/b\.png is not in s3://"):
        blobs.get("images/b.png")
    with pytest.raises(OSError, match="has no hard links"):
        blobs.link("images/c.png", Path("c.png"))
    client = s3_client(port)
    client.put_object(Bucket=BUCKET, Key=f"{PREFIX}/images/a.png", Body=b"cut")
    client.close()
    blobs.put("images/a.png", b"pixels")
    assert blobs.get("images/a.png") == b"pixels"


def test_shards_kept_exports_and_indexes_are_known_to_another_machine(at: S3Place, tmp_path: Path) -> None:
    tables, other = Tables(at), Tables(elsewhere(at, tmp_path))
    for recipe in ("old", "new"):
        with tables.scratch_parquet() as file:
            rows(recipe).write_parquet(file)
            tables.shards("colours", CELL).add(recipe, "0a", file)
    other.shards("colours", CELL).forget_others("new")
    assert tables.shards("colours", CELL).files("old") == []
    [shard] = other.shards("colours", CELL).files("new")
    assert pl.read_parquet(shard).get_column("colour").to_list() == ["new"]

    written = IndexFiles(at).write("tag_index/danbooru/2019", [b"ab", b"c"])
    assert bytes(IndexFiles(other.root).read(written.path, 3)) == b"abc"
    assert IndexFiles(other.root).unlisted([]) == [written.path]
    with pytest.raises(IndexFileMissing):
        IndexFiles(other.root).read("indexes/none.index", 3)

    kept = tmp_path / "export.parquet"
    rows("red").write_parquet(kept)
    sha256 = hashlib.sha256(kept.read_bytes()).hexdigest()
    snapshot = Snapshot("danbooru", "2021", None, None, "2026-01-01", 1, None, "recipe", sha256, {2019: (1, "v")})
    Snapshots(at).keep(snapshot, kept)
    Snapshots(at).mark_present(snapshot)
    assert Snapshots(other.root).present("danbooru") == snapshot
    assert Snapshots(other.root).scan(snapshot).collect().equals(rows("red"))
    assert kept.exists()
    with pytest.raises(DamagedSnapshot, match="s3://"):
        Snapshots(other.root).intact(replace(snapshot, sha256="0" * 64))


def test_copies_that_were_not_used_for_a_week_are_removed_and_fetched_again(at: S3Place) -> None:
    tables = Tables(at)
    for year in (2019, 2020):
        commit(tables, rows(str(year)), cell=Cell("danbooru", year))
    old, fresh = (tables.file("colours", Cell("danbooru", year)) for year in (2019, 2020))
    os.utime(old, (0, time.time() - 8 * 24 * 3600))

    Bucket(at).require()

    assert (old.exists(), fresh.exists()) == (False, True)
    assert colours(tables) == ["2019"]
    assert old.exists()


def test_the_endpoint_and_the_region_may_come_from_the_environment(
    at: S3Place, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Blobs(at).put("images/a.png", b"pixels")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")

    assert Blobs(replace(at, endpoint_url=None)).get("images/a.png") == b"pixels"


# --- S-faults


def test_s10_s13_thirty_percent_of_requests_fault_and_all_lands_once(port: int, tmp_path: Path) -> None:
    with faulty_proxy(port, share=0.3, faults=ALL_FAULTS, seed=SEED, slow_s=0.02) as proxy:
        at = place(proxy.port, tmp_path / "cache")
        tables, blobs = Tables(at), Blobs(at)
        for number in range(12):
            blobs.put(f"images/{number}.png", bytes([number]) * 3000)
            assert Blobs(at).get(f"images/{number}.png") == bytes([number]) * 3000
        for number in range(6):
            commit(tables, rows("red", str(number)), f"run-{number}")
            assert colours(Tables(elsewhere(at, tmp_path, f"machine_{number}"))) == ["red", str(number)]
        assert proxy.faulted() > 20

    found = objects(port)
    assert [name for name in found if name.startswith("tables/")] == [DATA]
    assert len([name for name in found if name.startswith("images/")]) == 12
    assert colours(Tables(place(port, tmp_path / "after"))) == ["red", "5"]


def test_s11_flipped_bytes_are_asked_for_again(port: int, tmp_path: Path) -> None:
    direct = place(port, tmp_path / "direct")
    Blobs(direct).put("images/a.png", b"pixels" * 100)
    commit(Tables(direct), rows("red"))
    with faulty_proxy(
        port, share=0.3, faults=("flip",), seed=SEED, hits=lambda request: request.method == "GET"
    ) as proxy:
        at = place(proxy.port, tmp_path / "cache")
        for number in range(6):
            assert Blobs(at).get("images/a.png") == b"pixels" * 100
            assert colours(Tables(elsewhere(at, tmp_path, f"machine_{number}"))) == ["red"]
        assert proxy.counts["GET flip"] > 3


def test_s11_an_object_that_is_always_damaged_is_an_unreadable_file_and_stops_no_run(port: int, tmp_path: Path) -> None:
    Blobs(place(port, tmp_path / "direct")).put("images/a.png", b"pixels" * 100)
    with (
        faulty_proxy(port, share=1.0, faults=("flip",)) as proxy,
        pytest.raises(OSError, match="not have the bytes that were stored"),
    ):
        Blobs(place(proxy.port, tmp_path / "cache")).get("images/a.png")


def test_s12_a_table_is_put_in_one_piece_so_nothing_is_left_of_one_that_was_cut(at: S3Place, port: int) -> None:
    commit(Tables(at), rows(*(hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(40_000))))

    client = s3_client(port)
    assert client.head_object(Bucket=BUCKET, Key=f"{PREFIX}/{DATA}")["ContentLength"] > 1_000_000
    assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET)
    client.close()


def lose(what: Callable[[Request], bool]) -> dict[str, object]:
    """A plan: the server does what is asked, and its reply is lost; once for each such request."""
    seen: set[str] = set()

    def hits(request: Request) -> bool:
        is_first = what(request) and request.path not in seen
        seen.update([request.path] if is_first else [])
        return is_first

    return {"share": 1.0, "faults": ("lost_reply",), "hits": hits}


def test_s14_a_commit_whose_reply_was_lost_is_known_as_our_own(port: int, tmp_path: Path) -> None:
    plan = lose(lambda request: request.method == "PUT" and request.path.endswith("data.parquet"))
    with faulty_proxy(port, **plan) as proxy:
        tables = Tables(place(proxy.port, tmp_path / "cache"))
        commit(tables, rows("red"))
        commit(tables, rows("blue"), "run-2")
        assert proxy.counts["PUT lost_reply"] == 1
    plan = lose(lambda request: request.method == "PUT" and request.path.endswith("data.parquet"))
    with faulty_proxy(port, **plan) as proxy:
        tables = Tables(place(proxy.port, tmp_path / "again"))
        commit(tables, rows("green"), "run-3")
        assert proxy.counts["PUT lost_reply"] == 1

    found = Tables(place(port, tmp_path / "after")).commit_of("colours", CELL)
    assert found is not None
    assert found.run_id == "run-3"


def test_s14_a_lease_whose_reply_was_lost_is_held_and_given_back(port: int, tmp_path: Path) -> None:
    plan = lose(lambda request: request.method == "PUT" and request.path.endswith("lock"))
    with faulty_proxy(port, **plan) as proxy:
        at = place(proxy.port, tmp_path / "cache")
        with lease(at, "_locks/x/lock"):
            assert proxy.counts["PUT lost_reply"] == 1
            with pytest.raises(PartitionLocked), lease(at, "_locks/x/lock"):
                pass
        with lease(at, "_locks/x/lock"):
            pass


def test_s14_a_conflict_is_asked_again(port: int, tmp_path: Path) -> None:
    refused: list[str] = []

    def once(request: Request) -> Reply | None:
        if request.method == "PUT" and request.path.endswith("data.parquet") and len(refused) < 2:
            refused.append(request.path)
            return s3_error(409, "ConditionalRequestConflict")
        return None

    with faulty_proxy(port, answer=once) as proxy:
        tables = Tables(place(proxy.port, tmp_path / "cache"))
        commit(tables, rows("red"))
        assert colours(tables) == ["red"]
    assert len(refused) == 2


def test_s15_a_store_that_ignores_conditions_is_refused_at_the_start(port: int, tmp_path: Path) -> None:
    puts: list[Request] = []

    def ignores(request: Request) -> Reply | None:
        """The second PUT of the probe should be refused, and is not."""
        if request.method != "PUT" or "_probe" not in request.path:
            return None
        puts.append(request)
        return Reply(200, headers=(("ETag", '"0"'),)) if len(puts) == 2 else None

    with faulty_proxy(port, answer=ignores) as proxy, pytest.raises(WrongRoot, match="ignores `If-None-Match`"):
        Bucket(place(proxy.port, tmp_path / "cache")).require()


def test_s15_a_store_that_keeps_nothing_is_refused_and_one_that_may_serve_is_left_clean(
    at: S3Place, port: int, tmp_path: Path
) -> None:
    Bucket(at).require()
    assert objects(port) == {}
    with (
        faulty_proxy(
            port, answer=lambda request: Reply(200, headers=(("ETag", '"0"'),)) if request.method == "PUT" else None
        ) as proxy,
        pytest.raises(WrongRoot, match="what was put there is not there"),
    ):
        Bucket(place(proxy.port, tmp_path / "cache")).require()


def denied(after: int, status: int, code: str) -> Callable[[Request], Reply | None]:
    """An answer that refuses each request after so many."""
    counted: list[Request] = []

    def answer(request: Request) -> Reply | None:
        counted.append(request)
        return s3_error(status, code) if len(counted) > after else None

    return answer


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "ExpiredToken", "credentials have expired"),
        (403, "ExpiredToken", "credentials have expired"),
        (403, "AccessDenied", "access denied; a root needs s3:ListBucket"),
        (403, "InvalidAccessKeyId", "access key is not known"),
    ],
)
def test_s16_credentials_refused_in_mid_run_are_no_missing_image(
    port: int, tmp_path: Path, status: int, code: str, words: str
) -> None:
    with faulty_proxy(port, answer=denied(2, status, code)) as proxy:
        blobs = Blobs(place(proxy.port, tmp_path / "cache"))
        blobs.put("images/a.png", b"pixels")
        assert blobs.get("images/a.png") == b"pixels"
        before = len(proxy.requests)
        with pytest.raises(RootUnavailable, match=words) as refused:
            blobs.get("images/a.png")
        assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"] not in str(refused.value)
        assert len(proxy.requests) - before == 2, "looked up once more, then given up"


def test_s16_a_refusal_without_words_is_taken_for_expired_credentials(port: int, tmp_path: Path) -> None:
    def bare(request: Request) -> Reply | None:
        return Reply(400) if request.method == "HEAD" else None

    with (
        faulty_proxy(port, answer=bare) as proxy,
        pytest.raises(RootUnavailable, match="credentials have expired"),
    ):
        Blobs(place(proxy.port, tmp_path / "cache")).size("images/a.png")


@pytest.mark.slow
def test_a_store_that_is_down_is_told_within_a_minute(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(RootUnavailable, match="see whether the store is up"):
        Blobs(place(9, tmp_path / "cache")).get("images/a.png")
    assert time.monotonic() - began < 60


def test_s16_renewed_credentials_are_taken_up(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def only_new(request: Request) -> Reply | None:
        return (
            None if "Credential=renewed/" in request.headers.get("authorization", "") else s3_error(400, "ExpiredToken")
        )

    Blobs(place(port, tmp_path / "direct")).put("images/a.png", b"pixels")
    with faulty_proxy(port, answer=only_new) as proxy:
        blobs = Blobs(place(proxy.port, tmp_path / "cache"))
        with pytest.raises(RootUnavailable):
            blobs.get("images/a.png")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "renewed")
        assert blobs.get("images/a.png") == b"pixels"


def test_s16_no_credentials_at_all_are_told(at: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    with pytest.raises(RootUnavailable, match="no credentials were found"):
        Bucket(at).require()
    with pytest.raises(RootUnavailable, match="profile"):
        Bucket(replace(at, profile="none_such")).require()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (301, "PermanentRedirect", "in another region"),
        (400, "AuthorizationHeaderMalformed", "in another region"),
        (404, "NoSuchBucket", "no such bucket"),
    ],
)
def test_s17_a_wrong_bucket_or_region_is_told_at_the_start(
    port: int, tmp_path: Path, status: int, code: str, words: str
) -> None:
    with (
        faulty_proxy(port, answer=denied(0, status, code)) as proxy,
        pytest.raises(WrongRoot, match=words),
    ):
        Bucket(place(proxy.port, tmp_path / "cache")).require()


def test_s17_a_bucket_that_is_not_there_is_told_by_a_real_server(at: S3Place) -> None:
    with pytest.raises(WrongRoot, match="no such bucket"):
        Bucket(replace(at, bucket="no-such-bucket")).require()
    with pytest.raises(WrongRoot, match="no such bucket"):
        Tables(replace(at, bucket="no-such-bucket")).names()


@pytest.mark.parametrize(
    "url", ["s3://", "s3://B", "s3://a", "s3://bucket//x", "s3://bucket/../x", "gs://bucket/x", "s3://bucket/a b"]
)
def test_s17_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="s3"):
        parse_s3_url(url)


def test_s17_a_bucket_and_its_prefix_are_read_from_the_url() -> None:
    assert parse_s3_url("s3://my.bucket-1") == ("my.bucket-1", "")
    assert parse_s3_url("s3://bucket/a/b/") == ("bucket", "a/b")


def test_s18_more_than_a_thousand_names_with_odd_characters_are_all_listed(at: S3Place) -> None:
    bucket = Bucket(at)
    names = sorted([f"images/{number:04d} a%20é.png" for number in range(1005)])
    bucket.each(lambda name: bucket.put(name, b"x"), names)
    bucket.put("images_of_others/a.png", b"x")

    assert bucket.names("images/") == names
    assert Bucket(at).names("none/") == []
    Bucket(at).remove("images/")
    assert Bucket(at).names("") == ["images_of_others/a.png"]


def test_s19_a_wrong_clock_is_told(port: int, tmp_path: Path) -> None:
    with (
        faulty_proxy(port, answer=denied(0, 403, "RequestTimeTooSkewed")) as proxy,
        pytest.raises(RootUnavailable, match="check its clock"),
    ):
        Bucket(place(proxy.port, tmp_path / "cache")).require()


# --- concurrency


def test_c1_of_two_runs_on_one_partition_one_is_refused_at_once(at: S3Place, tmp_path: Path) -> None:
    one, other = Tables(at), Tables(elsewhere(at, tmp_path))
    with one.lock("colours", CELL):
        began = time.monotonic()
        with pytest.raises(PartitionLocked, match="wait for it, or stop it first"), other.lock("colours", CELL):
            pass
        assert time.monotonic() - began < 5
        with other.lock("colours", Cell("danbooru", 2020)):
            pass
    with other.lock("colours", CELL):
        pass


ROUNDS = 12


def test_c1_of_runs_that_commit_at_the_same_moment_none_overwrites_another(at: S3Place, tmp_path: Path) -> None:
    commit(Tables(at), rows("begun"))
    for number in range(ROUNDS):
        writers = [Tables(elsewhere(at, tmp_path, f"writer_{n}")) for n in range(3)]
        staged = [tables.stage(COLOURS, CELL, rows(f"{number}-{n}")) for n, tables in enumerate(writers)]
        outcomes = _at_once(writers, staged)
        won = [n for n, outcome in enumerate(outcomes) if outcome is None]
        assert len(won) == 1, outcomes
        assert colours(Tables(at)) == [f"{number}-{won[0]}"]


def _at_once(writers: list[Tables], staged: list[Staged]) -> list[Exception | None]:
    barrier = threading.Barrier(len(writers))
    outcomes: list[Exception | None] = [None] * len(writers)

    def write(number: int) -> None:
        barrier.wait()
        try:
            writers[number].commit(staged[number], f"run-{number}")
        except PartitionLocked as locked:
            outcomes[number] = locked

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(writers))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_c2_two_runs_on_two_partitions_both_land(at: S3Place, tmp_path: Path) -> None:
    writers = [Tables(elsewhere(at, tmp_path, f"writer_{n}")) for n in range(2)]
    staged = [tables.stage(COLOURS, Cell("danbooru", 2019 + n), rows(str(n))) for n, tables in enumerate(writers)]

    assert _at_once(writers, staged) == [None, None]
    assert [colours(Tables(at), cell) for cell in Tables(at).cells("colours")] == [["0"], ["1"]]


@pytest.mark.parametrize("before", [None, "begun"])
def test_c3_a_zombie_that_wakes_after_another_has_committed_is_refused(
    at: S3Place, tmp_path: Path, before: str | None
) -> None:
    if before:
        commit(Tables(at), rows(before))
    zombie = Tables(at)
    staged = zombie.stage(COLOURS, CELL, rows("of the zombie"))
    commit(Tables(elsewhere(at, tmp_path)), rows("new"), "run-2")

    with pytest.raises(PartitionLocked, match="replaced this partition"):
        zombie.commit(staged, "run-1")
    assert colours(Tables(at)) == ["new"]


@pytest.mark.parametrize("before", [None, "begun"])
def test_c3_a_zombie_that_sleeps_between_its_last_look_and_its_write_is_refused_by_the_store(
    at: S3Place, port: int, tmp_path: Path, before: str | None
) -> None:
    other = Tables(elsewhere(at, tmp_path))
    if before:
        commit(other, rows(before))

    def meanwhile(request: Request) -> Reply | None:
        """As its PUT is on the way, its lease has run out and another run commits."""
        if request.method == "PUT" and request.path.endswith("data.parquet") and not woken:
            woken.append(request)
            objects_of_lock = f"{PREFIX}/_locks/colours/source=danbooru/year=2019/lock"
            client = s3_client(port)
            client.delete_object(Bucket=BUCKET, Key=objects_of_lock)
            client.close()
            commit(other, rows("new"), "run-2")
        return None

    woken: list[Request] = []
    with faulty_proxy(port, answer=meanwhile) as proxy:
        zombie = Tables(place(proxy.port, tmp_path / "zombie"))
        staged = zombie.stage(COLOURS, CELL, rows("of the zombie"))
        with pytest.raises(PartitionLocked, match="replaced this partition"):
            zombie.commit(staged, "run-1")
    assert woken
    assert colours(Tables(at)) == ["new"]
    found = Tables(at).commit_of("colours", CELL)
    assert found is not None
    assert found.run_id == "run-2"


def test_c3_an_expired_lease_is_taken_over_by_one_and_its_holder_knows(at: S3Place) -> None:
    dead = Lease(at, "_locks/x/lock", seconds=60)
    dead.take(datetime.now(UTC))
    for seconds, is_free in ((30, False), (90, True)):
        later = datetime.now(UTC) + timedelta(seconds=seconds)
        heir = Lease(at, "_locks/x/lock", seconds=60)
        if is_free:
            heir.take(later)
        else:
            with pytest.raises(PartitionLocked, match=r"is free after 60 s"):
                heir.take(later)
    late = Lease(at, "_locks/x/lock", seconds=60)
    with pytest.raises(PartitionLocked):
        late.take(datetime.now(UTC))

    dead.release()
    with pytest.raises(PartitionLocked):
        late.take(datetime.now(UTC))
    heir.release()
    late.take(datetime.now(UTC))


def test_a_lease_is_renewed_while_its_work_lasts(at: S3Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with lease(at, "_locks/x/lock", seconds=1.5):
        time.sleep(4)
        with pytest.raises(PartitionLocked), lease(at, "_locks/x/lock", seconds=1.5):
            pass


@pytest.mark.slow
def test_p8_the_lease_of_a_process_that_was_killed_is_free_after_its_time(at: S3Place, tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from dataset_assets.places import S3Place;"
        "from dataset_assets.storage.leases import lease;"
        f"at = S3Place({at.bucket!r}, {at.prefix!r}, Path({str(tmp_path)!r}), endpoint_url={at.endpoint_url!r});"
        "held = lease(at, '_locks/x/lock', seconds=2.0); held.__enter__(); print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(PartitionLocked, match=f"process {process.pid}"), lease(at, "_locks/x/lock", seconds=2.0):
        pass
    process.kill()
    process.wait(timeout=10)
    process.stdout.close()
    time.sleep(3.5)

    with lease(at, "_locks/x/lock", seconds=2.0):
        pass


def test_c4_a_reader_meets_whole_versions_alone(at: S3Place, tmp_path: Path) -> None:
    writer, stop = Tables(at), threading.Event()
    commit(writer, rows(*["0"] * 50))
    seen: set[tuple[str, ...]] = set()

    def read() -> None:
        reader = Tables(elsewhere(at, tmp_path))
        while not stop.is_set():
            commit_seen, file = reader.commit_of("colours", CELL), reader.file("colours", CELL)
            found = pl.read_parquet(file, hive_partitioning=False).get_column("colour").to_list()
            seen.add(tuple(sorted(set(found))))
            assert len(found) == 50
            assert commit_seen is not None

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(1, 15):
        commit(writer, rows(*[str(number)] * 50), f"run-{number}")
    stop.set()
    thread.join()
    assert len(seen) > 3
    assert all(len(one) == 1 for one in seen)


@given(
    data=st.binary(max_size=300),
    name=st.text("abcdef0123456789_.", min_size=1, max_size=40).filter(lambda text: text.strip(".")),
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_come_back_as_they_were_put(at: S3Place, data: bytes, name: str) -> None:
    Blobs(at).replace(f"sheets/{name}.jpg", data)

    assert Blobs(at).get(f"sheets/{name}.jpg") == data
    assert Bucket(at).file(f"sheets/{name}.jpg").read_bytes() == data
