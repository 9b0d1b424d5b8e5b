"""Search over a dataset that Dagster built, with its indexes, without them, and with damaged ones."""

import shutil
import struct
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from dataset_assets import search
from dataset_assets.domain.tag_query import TagQueryError, matching, parse
from dataset_assets.storage.index_files import IndexFiles
from dataset_assets.storage.tables import Cell
from dataset_assets_tests.mirror import Mirror

CELL = Cell("danbooru", 2006)
METADATA = ["source_snapshot", "rejected_records", "tag_relations", "image_metadata", "tag_metadata"]
QUERIES = ["1girl -tag_1", "score:7 rating:s", "*_1 or *_2", "source:none", "-tag_0", "id:6000..6001", "unknown", ""]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = Mirror.make(tmp_path_factory.mktemp("search"))
    mirror.rebuild(assets=[*METADATA, "tag_index", "raw_images", "training_images"])
    return mirror


@pytest.fixture
def mirror(built: Mirror, tmp_path: Path) -> Mirror:
    """A copy whose files a test may damage."""
    shutil.copytree(built.folder, tmp_path / "copy", dirs_exist_ok=True)
    return Mirror(tmp_path / "copy", built.posts)


def index_file(mirror: Mirror, cell: Cell = CELL) -> Path:
    return mirror.root / mirror.table("tag_index", cell).item(0, "path")


def scanned(mirror: Mirror, query: str) -> list[str]:
    rows = matching(parse(query), mirror.table("image_metadata").lazy(), mirror.table("tag_metadata").lazy())
    return rows.sort("source", "year", "image_id").collect().get_column("image_id").to_list()


@pytest.mark.parametrize("query", QUERIES)
def test_the_indexes_answer_what_the_tables_hold(built: Mirror, query: str) -> None:
    found = search.find(built.config, query)

    assert found.notes == []
    assert found.image_ids() == scanned(built, query)
    assert found.count == len(found.image_ids())
    assert found.image_ids(2) == found.image_ids()[:2]
    assert found.rows().collect().get_column("image_id").to_list() == found.image_ids()


def test_rows_are_those_of_image_metadata_with_source_and_year(built: Mirror) -> None:
    rows = search.search(built.config, "tag_1", years=[2006]).collect()

    expected = built.table("image_metadata").filter(pl.col("image_id") == "danbooru-6001-0")
    assert rows.equals(expected.select(rows.columns))
    assert (rows.item(0, "source"), rows.item(0, "year")) == ("danbooru", 2006)
    assert search.search(built.config, "unknown").collect().columns == rows.columns


def test_sources_and_years_narrow_a_search(built: Mirror) -> None:
    assert search.count(built.config, "1girl") == 12
    assert search.count(built.config, "1girl", sources=["danbooru"]) == 9
    assert search.count(built.config, "1girl", years=range(2006, 2023)) == 9
    assert search.count(built.config, "1girl", sources=["pixiv_niji"], years=[2005]) == 0


@pytest.mark.slow
def test_a_changed_year_makes_its_index_old_until_it_is_rebuilt_and_no_other(tmp_path: Path) -> None:
    mirror = Mirror.make(tmp_path)
    mirror.rebuild(assets=[*METADATA, "tag_index"])
    before, old = mirror.commits("tag_index"), index_file(mirror)

    mirror.set_tags(6001, ["1girl", "hat"])
    mirror.rebuild(assets=METADATA)

    found = search.find(mirror.config, "hat")
    assert found.image_ids() == ["danbooru-6001-0"]
    assert len(found.notes) == 1
    assert "danbooru|2006: the index is older than tag_metadata" in found.notes[0]
    assert "dataset-assets rebuild --source danbooru --years 2006 --assets tag_index" in found.notes[0]

    mirror.rebuild(assets=["tag_index"])

    after = mirror.commits("tag_index")
    assert {cell for cell in after if after[cell] != before[cell]} == {CELL}
    found = search.find(mirror.config, "hat")
    assert (found.image_ids(), found.notes) == (["danbooru-6001-0"], [])
    listed = mirror.table("tag_index").get_column("path").to_list()
    assert IndexFiles(mirror.root).unlisted(listed) == [old.relative_to(mirror.root).as_posix()]

    cut_short(index_file(mirror))
    assert search.find(mirror.config, "1girl").notes
    mirror.rebuild(assets=["tag_index"], everything=True)
    assert search.find(mirror.config, "1girl").notes == []


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    for place in range(64, len(data)):
        data[place] ^= 1
    file.write_bytes(data)


def of_another_version(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:8] + struct.pack("<I", 99) + data[12:])


def gone(file: Path) -> None:
    file.unlink()


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [flipped, of_another_version, cut_short, emptied, gone])
def test_a_damaged_index_is_said_and_the_tables_answer(mirror: Mirror, damage: object) -> None:
    assert callable(damage)
    damage(index_file(mirror))

    found = search.find(mirror.config, "1girl -tag_1")

    assert found.image_ids() == scanned(mirror, "1girl -tag_1")
    assert len(found.notes) == 1
    assert found.notes[0].startswith("danbooru|2006: the index is damaged")
    assert found.facets(3).equals(search.facets(mirror.config, "1girl -tag_1", limit=3))


def test_every_single_flipped_byte_of_an_index_leaves_the_answer_right(mirror: Mirror) -> None:
    file, query = index_file(mirror), "1girl -tag_1 score:>3 or *_2"
    data, wanted = file.read_bytes(), scanned(mirror, query)
    facets = search.facets(mirror.config, query)
    said = 0
    for place in range(0, len(data), 1 + len(data) // 60):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        found = search.find(mirror.config, query)
        assert found.image_ids() == wanted, place
        assert found.facets().equals(facets), place
        said += bool(found.notes)
    assert said > 3


def test_without_any_index_the_tables_answer(mirror: Mirror) -> None:
    shutil.rmtree(mirror.root / "tables" / "tag_index")
    shutil.rmtree(mirror.root / "_checksums" / "tag_index")

    found = search.find(mirror.config, "1girl tag_2")

    assert found.image_ids() == scanned(mirror, "1girl tag_2")
    assert all("no index is built" in note for note in found.notes)


def test_a_damaged_table_is_refused_by_name(mirror: Mirror) -> None:
    shutil.rmtree(mirror.root / "tables" / "tag_index")
    file = mirror.tables.file("tag_metadata", CELL)
    file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(search.SearchError, match=r"tag_metadata danbooru\|2006 does not match its checksum"):
        search.find(mirror.config, "1girl")


def test_facets_count_the_tags_of_the_images_by_category(built: Mirror) -> None:
    tags = built.table("tag_metadata")
    found = search.facets(built.config, "danbooru or score:7", limit=3).filter(pl.col("category") == "general")

    assert found.rows() == [("general", "1girl", 9), ("general", "tag_0", 3), ("general", "tag_1", 3)]
    niji = search.facets(built.config, "*", sources=["pixiv_niji"])
    assert niji.select("tag", "images").sort("tag").rows() == (
        tags.filter(pl.col("source") == "pixiv_niji").group_by("tag").len("images").sort("tag").rows()
    )


def test_a_grid_shows_training_images_and_is_the_same_each_time(built: Mirror) -> None:
    sheet = search.grid(built.config, "1girl")

    assert isinstance(sheet, Image.Image)
    again = search.grid(built.config, "1girl")
    assert again is not None
    assert sheet.tobytes() == again.tobytes()
    assert sheet.width > search.GRID_SIDE * search.GRID_COLUMNS
    assert search.grid(built.config, "unknown") is None


def test_a_grid_does_without_images_whose_file_is_gone_or_broken(mirror: Mirror) -> None:
    for file in (mirror.root / "images").rglob("*.*"):
        file.write_bytes(b"no image") if "6" in file.name else file.unlink()

    assert search.grid(mirror.config, "1girl") is None


def test_a_query_that_cannot_be_read_is_refused(built: Mirror) -> None:
    with pytest.raises(TagQueryError):
        search.find(built.config, "(1girl")


def unbuild(mirror: Mirror, name: str, *cells: Cell) -> None:
    """As if a table had never been built."""
    for cell in cells:
        for folder in ("tables", "_checksums"):
            shutil.rmtree(mirror.root / folder / name / cell.folder)


def test_tags_that_were_never_built_are_no_answer_of_no_images(mirror: Mirror) -> None:
    unbuild(mirror, "tag_index", CELL)
    unbuild(mirror, "tag_metadata", CELL)
    why = (
        "danbooru|2006: tag_metadata is not built, so tags cannot be searched; `dataset-assets rebuild "
        "--source danbooru --years 2006 --assets tag_metadata` makes it"
    )
    for query in ("1girl", "-1girl", "gentags:>1"):
        with pytest.raises(search.SearchError) as refused:
            search.find(mirror.config, query, ["danbooru"], [2006])
        assert str(refused.value) == why
        others = search.find(mirror.config, query)
        assert others.notes == [why]
        assert {image_id.split("-")[1][0] for image_id in others.image_ids()} <= {"5", "7"}
    assert search.find(mirror.config, "score:7", ["danbooru"], [2006]).count == 3, "this needs no tags"


def test_a_condition_over_columns_that_were_never_built_is_no_answer_of_no_images(mirror: Mirror) -> None:
    with pytest.raises(search.SearchError, match="image_scores, near_duplicates are not built, so the columns of --wh"):
        search.find(mirror.config, "", where="split_key > 5 or aesthetic_score > 0")
    unbuild(mirror, "raw_images", CELL)
    found = search.find(mirror.config, "", ["danbooru"], where="file_size > 1")
    assert [note.partition(",")[0] for note in found.notes] == ["danbooru|2006: raw_images is not built"]
    assert found.count == 6
    assert search.find(mirror.config, "", ["danbooru"], where="score > 1").count == 9
