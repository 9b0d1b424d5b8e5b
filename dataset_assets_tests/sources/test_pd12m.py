import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.config import License, Pd12mSource
from dataset_assets.domain.schemas import IMAGE_METADATA, REJECTED_RECORDS, TAG_METADATA, require_schema
from dataset_assets.domain.states import REJECT_REASONS
from dataset_assets.sources import DamagedExport, ReadReport, pd12m
from dataset_assets.sources.pd12m import SNAPSHOT
from dataset_assets.sources.pd12m_shards import missing_shards

REAL_ROWS = Path(__file__).parents[2] / ".." / "shared" / "data" / "pd12m" / "pd12m_rows_joined.parquet"
CC0 = "https://creativecommons.org/publicdomain/zero/1.0/"
PDM = "https://creativecommons.org/publicdomain/mark/1.0/"

Row = dict[str, Any]


def uuid(number: int) -> str:
    return str(uuid5(UUID(int=0), str(number)))


def row(number: int, **changes: Any) -> Row:
    """A row in the layout of the card; `...` leaves a column out."""
    published = {
        "id": uuid(number),
        "url": f"https://pd12m.s3.us-west-2.amazonaws.com/images/{uuid(number)}.jpeg",
        "caption": "The image shows a forest.",
        "width": 8384,
        "height": 5612,
        "mime_type": "image/jpeg",
        "hash": f"{number:032x}",
        "license": CC0,
    }
    return {key: value for key, value in (published | changes).items() if value is not ...}


def source_of(
    folder: Path, shards: Mapping[str, Sequence[Row]], images: Mapping[str, bytes] | None = None
) -> Pd12mSource:
    for name, rows in shards.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(folder / name)
    for name, content in (images or {}).items():
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).write_bytes(content)
    source = Pd12mSource(
        kind="pd12m",
        metadata=("**/*.parquet",),
        images="images" if images is not None else None,
        collected=2024,
        license=License(name="x", basis="y"),
    )
    source._folder = folder
    return source


class Export(NamedTuple):
    """An export, read."""

    source: Pd12mSource
    report: ReadReport
    snapshot: pl.DataFrame
    said: list[str]

    @property
    def rejected(self) -> list[tuple[str, int, str]]:
        return self.report.rejected.select("file", "line", "reason").rows()

    def located(self) -> dict[str, str | None]:
        listed = pd12m.image_metadata(self.snapshot.lazy()).collect()
        return dict(pd12m.locate(self.source, listed).select("image_id", "location").iter_rows())

    def orphans(self) -> dict[str, str]:
        found = pd12m.orphans(self.source, self.snapshot.lazy())
        require_schema(REJECTED_RECORDS, found.schema)
        assert set(found["reason"]) <= {"orphan_file"}
        return dict(found.select("file", "detail").iter_rows())


def read_source(source: Pd12mSource, into: Path) -> Export:
    said = list[str]()
    report = pd12m.read_snapshot("pd12m", source, into, said.append)
    snapshot = pl.read_parquet(into)
    require_schema(SNAPSHOT, snapshot.schema)
    require_schema(REJECTED_RECORDS, report.rejected.schema)
    assert set(report.rejected["reason"]) <= set(REJECT_REASONS)
    assert report.records == snapshot.height
    assert snapshot["image_id"].is_sorted()
    assert said
    return Export(source, report, snapshot, said)


@pytest.fixture
def into(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshot") / "snapshot.parquet"


def read_one(folder: Path, into: Path, **changes: Any) -> Row:
    """The one row of an export of one row, as the snapshot has it."""
    return read_source(source_of(folder, {"pd12m.00.parquet": [row(1, **changes)]}), into).snapshot.row(0, named=True)


FIRST_LAYOUT = {"hash": ..., "license": ..., "md5_hash": "ab" * 16, "license_type": PDM, "s3_key": "images/1.jpeg"}
NEWEST_LAYOUT = {"hash": "ab" * 16, "license": PDM, "source": "Museum of Natural History"}


@pytest.mark.parametrize(
    ("layout", "only_there"),
    [
        (FIRST_LAYOUT, {"s3_key": "images/1.jpeg"}),
        ({"hash": "ab" * 16, "license": PDM}, {}),
        (NEWEST_LAYOUT, {"source": "Museum of Natural History"}),
    ],
)
def test_every_layout_is_read_by_the_names_of_its_columns(
    tmp_path: Path, into: Path, layout: Row, only_there: Row
) -> None:
    columns = dict(reversed(row(1, **layout).items()))  # their order does not matter
    export = read_source(source_of(tmp_path, {"pd12m.00.parquet": [columns]}), into)

    assert (
        export.snapshot.row(0, named=True)
        == {
            "image_id": f"pd12m-{uuid(1)}-0",
            "year": 2024,
            "record_file": "pd12m.00.parquet",
            "record_line": 1,
            "id": uuid(1),
            "url": f"https://pd12m.s3.us-west-2.amazonaws.com/images/{uuid(1)}.jpeg",
            "caption": "The image shows a forest.",
            "width": 8384,
            "height": 5612,
            "mime_type": "image/jpeg",
            "hash": "ab" * 16,
            "license": PDM,
            "source": None,
            "s3_key": None,
            "license_name": "pdm_1_0",
            "shard_number": 0,
            "row_in_shard": 0,
        }
        | only_there
    )
    assert not any("has no column" in line for line in export.said)


def test_shards_of_different_layouts_stand_side_by_side(tmp_path: Path, into: Path) -> None:
    shards = {"a/pd12m.00.parquet": [row(1, **FIRST_LAYOUT)], "b/pd12m.000.parquet": [row(2, **NEWEST_LAYOUT), row(3)]}
    export = read_source(source_of(tmp_path, {**shards, "b/pd12m.000.parquet": [row(2, **NEWEST_LAYOUT)]}), into)

    assert {record["record_file"]: record["license_name"] for record in export.snapshot.to_dicts()} == dict.fromkeys(
        shards, "pdm_1_0"
    )


def test_a_column_that_a_shard_lacks_is_null_and_said(tmp_path: Path, into: Path) -> None:
    export = read_source(source_of(tmp_path, {"pd12m.00.parquet": [row(1, hash=..., license=...)]}), into)

    assert export.snapshot.select("hash", "license", "license_name").row(0) == (None, None, "unknown")
    assert "pd12m: pd12m.00.parquet has no column for hash, license; null in its rows" in export.said


def test_a_row_says_in_which_shard_and_where_it_stood(tmp_path: Path, into: Path) -> None:
    shards = {"pd12m.00.parquet": [row(1), row(2)], "pd12m.01.parquet": [row(3)], "others.parquet": [row(4)]}
    export = read_source(source_of(tmp_path, shards), into)

    places = export.snapshot.select("id", "record_file", "record_line", "shard_number", "row_in_shard")
    assert {place[0]: place[1:] for place in places.iter_rows()} == {
        uuid(1): ("pd12m.00.parquet", 1, 0, 0),
        uuid(2): ("pd12m.00.parquet", 2, 0, 1),
        uuid(3): ("pd12m.01.parquet", 1, 1, 0),
        uuid(4): ("others.parquet", 1, None, 0),
    }


def test_of_rows_with_one_id_the_first_by_shard_and_row_counts(tmp_path: Path, into: Path) -> None:
    shards = {
        "pd12m.01.parquet": [row(1, caption="third"), row(2)],
        "pd12m.00.parquet": [row(3), row(1, caption="first"), row(1, id=uuid(1).upper(), caption="second")],
    }
    export = read_source(source_of(tmp_path, shards), into)

    captions = dict(export.snapshot.select("id", "caption").iter_rows())
    assert captions[uuid(1)] == "first"
    assert export.rejected == [("pd12m.00.parquet", 3, "duplicate_id"), ("pd12m.01.parquet", 1, "duplicate_id")]
    assert set(export.report.rejected["detail"]) == {"the id is already that of row 2 of pd12m.00.parquet"}


def test_two_images_may_have_the_same_bytes(tmp_path: Path, into: Path) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(1, hash="ab" * 16), row(2, hash="ab" * 16)]}), into)

    assert export.snapshot.height == 2
    assert export.report.rejected.height == 0


@pytest.mark.parametrize(
    "bad", ["", "1", "../../etc/passwd", uuid(1) + "\n", f"{{{uuid(1)}}}", uuid(1).replace("-", ""), "g" * 36]
)
def test_an_id_that_is_no_uuid_is_rejected_with_its_url(tmp_path: Path, into: Path, bad: str) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(2), row(1, id=bad, url="u")]}), into)

    assert export.snapshot["id"].to_list() == [uuid(2)]
    assert export.rejected == [("a.parquet", 2, "bad_id")]
    assert '"url":"u"' in export.report.rejected["content"][0]


def test_text_that_is_stored_as_bytes_is_text(tmp_path: Path, into: Path) -> None:
    found = read_one(tmp_path, into, id=uuid(1).encode(), caption="forêt".encode())

    assert (found["image_id"], found["caption"]) == (f"pd12m-{uuid(1)}-0", "forêt")


def test_columns_of_other_makers_are_passed_over(tmp_path: Path, into: Path) -> None:
    others = {"filename": "a", "path": "b", "row": "c", "file": "d", "shard_path_": "e", "__index_level_0__": 7}

    assert read_one(tmp_path, into, **others)["image_id"] == f"pd12m-{uuid(1)}-0"


def test_a_row_without_id_is_rejected(tmp_path: Path, into: Path) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(2), row(1, id=None)]}), into)

    assert export.rejected == [("a.parquet", 2, "no_id")]


def test_numbers_are_no_ids(tmp_path: Path, into: Path) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(1, id=17)]}), into)

    assert export.rejected == [("a.parquet", 1, "bad_id")]


@pytest.mark.parametrize("column", ["url", "caption", "width", "height", "mime_type", "hash", "license"])
def test_a_row_that_lacks_anything_else_is_kept(tmp_path: Path, into: Path, column: str) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(1), row(2, **{column: None})]}), into)

    assert export.snapshot.height == 2
    assert export.snapshot[column].null_count() == 1


@pytest.mark.parametrize(("width", "read"), [("8384", 8384), (8384.0, 8384), (1 << 40, None), ("wide", None), (-1, -1)])
def test_a_width_of_another_type_is_read_or_null(tmp_path: Path, into: Path, width: Any, read: int | None) -> None:
    assert read_one(tmp_path, into, width=width)["width"] == read


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (CC0, "cc0_1_0"),
        (PDM, "pdm_1_0"),
        ("http://creativecommons.org/publicdomain/zero/1.0", "cc0_1_0"),
        ("HTTPS://WWW.CreativeCommons.org/PublicDomain/Mark/1.0/", "pdm_1_0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "cc0_1_0"),
        (f" {CC0} ", "cc0_1_0"),
        ("https://creativecommons.org/licenses/by/4.0/", "unknown"),
        ("https://creativecommons.org.example/publicdomain/zero/1.0/", "unknown"),
        ("https://example.org/?creativecommons.org/publicdomain/zero/1.0/", "unknown"),
        ("https://creativecommons.org/publicdomain/zero/1.0/../../../licenses/by-nc/4.0/", "unknown"),
        ("CC0", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_licence_is_named_only_where_its_url_is_certain(
    tmp_path: Path, into: Path, url: str | None, name: str
) -> None:
    found = read_one(tmp_path, into, license=url)

    assert (found["license"], found["license_name"]) == (url, name)


@pytest.mark.parametrize("damage", ["cut", "zeroed", "empty", "text"])
def test_a_damaged_shard_stops_the_reading_and_is_named(tmp_path: Path, into: Path, damage: str) -> None:
    rows = [row(number, caption=random.Random(number).randbytes(200).hex()) for number in range(500)]
    source = source_of(tmp_path, {"pd12m.00.parquet": [row(1000)], "pd12m.01.parquet": rows})
    shard = tmp_path / "pd12m.01.parquet"
    whole = shard.read_bytes()
    middle = len(whole) // 2
    shard.write_bytes(
        {
            "cut": whole[:middle],
            "zeroed": whole[:middle] + bytes(64) + whole[middle + 64 :],
            "empty": b"",
            "text": b"id,url\n",
        }[damage]
    )
    into.write_bytes(b"as it was")

    with pytest.raises(DamagedExport, match=r"pd12m\.01\.parquet: not a whole Parquet file"):
        pd12m.read_snapshot("pd12m", source, into, lambda line: None)
    assert into.read_bytes() == b"as it was"
    assert list(into.parent.iterdir()) == [into]


def test_a_parquet_file_of_something_else_is_refused(tmp_path: Path, into: Path) -> None:
    source = source_of(tmp_path, {"laion.parquet": [{"URL": "u", "TEXT": "t"}]})

    with pytest.raises(DamagedExport, match=r"laion\.parquet: expected the columns of PD12M.*\['text', 'url'\]"):
        pd12m.read_snapshot("pd12m", source, into, lambda line: None)


def test_an_export_without_shards_is_refused(tmp_path: Path, into: Path) -> None:
    with pytest.raises(DamagedExport, match="no shard"):
        pd12m.read_snapshot("pd12m", source_of(tmp_path, {}), into, lambda line: None)


@pytest.mark.parametrize(
    "name", ["pd12m[1].parquet", "source=x/pd12m 'a'.parquet", "what?.parquet", "s*r.parquet", "ünï\\c.parquet"]
)
def test_names_with_a_meaning_to_the_reader_are_only_names(tmp_path: Path, into: Path, name: str) -> None:
    export = read_source(source_of(tmp_path, {name: [row(1)], "other.parquet": [row(2)]}), into)

    assert set(export.snapshot["record_file"]) == {name, "other.parquet"}
    assert export.snapshot["source"].null_count() == 2


def test_a_missing_shard_is_a_rejected_row(tmp_path: Path, into: Path) -> None:
    shards = {f"pd12m.{number:03d}.parquet": [row(number)] for number in (0, 1, 4, 6)}
    export = read_source(source_of(tmp_path, shards), into)

    assert export.report.rejected.rows() == [
        (
            "pd12m.NNN.parquet",
            None,
            "unreadable_file",
            "missing shards: 002 to 003, 005; expected each from 0 to 006",
            None,
        )
    ]


def test_shards_are_counted_from_0() -> None:
    assert missing_shards(["pd12m.02.parquet"])["detail"].to_list() == [
        "missing shards: 00 to 01; expected each from 0 to 02"
    ]


def test_each_numbering_is_counted_alone() -> None:
    whole = ["a/pd12m.00.parquet", "a/pd12m.01.parquet", "a/pd12m.000.parquet", "b/pd12m.00.parquet", "others.parquet"]

    assert missing_shards(whole).equals(REJECTED_RECORDS.empty())
    assert missing_shards([*whole, "b/pd12m.02.parquet"])["file"].to_list() == ["b/pd12m.NN.parquet"]


def test_a_number_of_many_digits_costs_nothing() -> None:
    assert missing_shards(["x.999999999.parquet"]).height == 1


@given(st.sets(st.integers(0, 40), min_size=1))
def test_the_missing_numbers_are_those_below_the_highest_that_are_not_there(numbers: set[int]) -> None:
    found = missing_shards([f"p.{number:02d}.parquet" for number in numbers])

    named = set[int]()
    for detail in found["detail"]:
        for run in detail.split(": ")[1].split(";")[0].split(", "):
            ends = [int(end) for end in run.split(" to ")]
            named.update(range(ends[0], ends[-1] + 1))
    assert named == set(range(max(numbers))) - numbers


def test_the_same_shards_give_the_same_bytes(tmp_path: Path, into: Path) -> None:
    rows = [row(number) for number in range(3000)]
    source = source_of(tmp_path, {"pd12m.00.parquet": rows[:2000], "pd12m.01.parquet": rows[1500:]})
    read_source(source, into)
    first = into.read_bytes()

    read_source(source, into)
    assert into.read_bytes() == first


def listed(**changes: Any) -> Row:
    published: Row = dict.fromkeys(SNAPSHOT.schema) | row(1)
    published |= {"image_id": f"pd12m-{uuid(1)}-0", "source": "Museum", "license_name": "cc0_1_0"} | changes
    images = pd12m.image_metadata(SNAPSHOT.frame([published]).lazy())
    require_schema(IMAGE_METADATA, images.collect_schema())
    return images.collect().row(0, named=True)


def test_image_metadata_claims_neither_rating_nor_date_nor_the_captioning_models_words() -> None:
    assert {key: value for key, value in listed().items() if value is not None} == {
        "image_id": f"pd12m-{uuid(1)}-0",
        "post_id": uuid(1),
        "page": 0,
        "page_count": 1,
        "file_url": f"https://pd12m.s3.us-west-2.amazonaws.com/images/{uuid(1)}.jpeg",
        "file_ext": "jpeg",
        "md5": f"{1:032x}",
        "width": 8384,
        "height": 5612,
    }


@pytest.mark.parametrize(
    ("url", "mime_type", "extension"),
    [
        ("https://host/a.PNG", "image/jpeg", "png"),
        ("https://host/a.png?size=1.5", None, "png"),
        ("https://host/a", "image/png", "png"),
        ("https://host/a", "IMAGE/TIFF", "tiff"),
        (None, "image/jpeg", "jpeg"),
        ("https://host/a", "text/html", None),
        (None, None, None),
    ],
)
def test_the_extension_is_that_of_the_url_or_of_the_mime_type(
    url: str | None, mime_type: str | None, extension: str | None
) -> None:
    assert listed(url=url, mime_type=mime_type)["file_ext"] == extension


@pytest.mark.parametrize(
    ("published", "md5"), [("AB" * 16, "ab" * 16), ("ab" * 20, None), ("not a hash", None), (None, None)]
)
def test_only_what_can_be_an_md5_is_claimed_as_one(published: str | None, md5: str | None) -> None:
    assert listed(hash=published)["md5"] == md5


def test_there_are_no_tags() -> None:
    assert pd12m.tag_metadata(SNAPSHOT.empty().lazy()).collect().equals(TAG_METADATA.empty())


def test_images_are_found_by_id_and_others_are_orphans(tmp_path: Path, into: Path) -> None:
    images = {
        f"{uuid(1)}.jpeg": b"a",
        f"00/{uuid(2).upper()}.tiff": b"b",
        f"{uuid(9)}.jpeg": b"",
        f"{uuid(1)}.json": b"{}",
    }
    images |= {f"z/{uuid(1)}.png": b""}
    export = read_source(source_of(tmp_path, {"a.parquet": [row(1), row(2), row(3)]}, images), into)

    folder = tmp_path / "images"
    assert export.located() == {
        f"pd12m-{uuid(1)}-0": str(folder / f"{uuid(1)}.jpeg"),
        f"pd12m-{uuid(2)}-0": str(folder / f"00/{uuid(2).upper()}.tiff"),
        f"pd12m-{uuid(3)}-0": None,
    }
    assert export.orphans() == {
        f"{uuid(9)}.jpeg": "its name is that of no record",
        f"z/{uuid(1)}.png": f"{uuid(1)}.jpeg is read for post {uuid(1)}",
    }


def test_without_a_folder_of_images_none_is_located(tmp_path: Path, into: Path) -> None:
    export = read_source(source_of(tmp_path, {"a.parquet": [row(1)]}), into)

    assert export.located() == {f"pd12m-{uuid(1)}-0": None}
    assert export.orphans() == {}


def test_the_fingerprint_changes_with_the_shards(tmp_path: Path) -> None:
    source = source_of(tmp_path, {"a.parquet": [row(1)]}, {f"{uuid(1)}.jpeg": b""})
    first = pd12m.fingerprint(source)
    (tmp_path / "images" / f"{uuid(2)}.jpeg").write_bytes(b"")
    assert pd12m.fingerprint(source) == first

    os.utime(tmp_path / "a.parquet", ns=(1, 1))
    second = pd12m.fingerprint(source)
    source_of(tmp_path, {"b.parquet": [row(2)]})
    assert len({first, second, pd12m.fingerprint(source)}) == 3


@pytest.mark.skipif(not REAL_ROWS.is_file(), reason="the real rows are not here")
def test_real_rows(into: Path) -> None:
    source = Pd12mSource(kind="pd12m", metadata=(str(REAL_ROWS),), collected=2024, license=License(name="x", basis="y"))
    export = read_source(source, into)
    images = pd12m.image_metadata(export.snapshot.lazy()).collect()

    assert (export.report.records, export.report.rejected.height) == (824, 0)
    assert dict(images["file_ext"].value_counts().iter_rows()) == {"jpeg": 797, "png": 27}
    assert images.select(pl.col("file_url").str.contains(pl.col("post_id"), literal=True).all()).item()
    assert export.snapshot["caption"].str.starts_with("The image shows").sum() == 744
    assert images["width"].null_count() == 0


def test_images_that_are_fetched_lie_at_the_url_of_the_row(tmp_path: Path) -> None:
    source = source_of(tmp_path, {}).model_copy(update={"images": "url"})
    listed = pl.DataFrame({"image_id": ["pd12m-a-0", "pd12m-b-0"], "file_url": ["https://a.example/b.jpeg", None]})

    located = pd12m.locate(source, listed)

    assert located.rows() == [("pd12m-a-0", "https://a.example/b.jpeg", None, None), ("pd12m-b-0", None, None, None)]
    assert source.missing_images() == []
