"""The same work in two sources, through the graph."""

from pathlib import Path

import duckdb
import pytest

from dataset_assets.storage.tables import Cell
from dataset_assets.trace import trace
from dataset_assets_tests.mirror import Mirror

WORKS = ["source_snapshot", "image_metadata", "pixiv_works", "same_works", "catalog"]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    """A Danbooru post of page 1 of work 77, one of work 78 without a page, and one of a work nobody else has."""
    made = Mirror.make(tmp_path, posts_by_year=1)
    made.posts[5000] |= {"source": "https://i.pximg.net/img-original/img/2022/11/09/02/04/04/77_p1.png"}
    made.posts[6000] |= {"pixiv_id": "78"}
    made.posts[7000] |= {"pixiv_id": "79"}
    made.write_metadata()
    return made


def test_a_work_that_two_sources_have_is_found_by_page_and_shown_in_trace_and_catalog(mirror: Mirror) -> None:
    mirror.rebuild(assets=WORKS)
    same = mirror.table("same_works", Cell())

    assert same.select("image_id", "pixiv_id", "source", "page", "evidence", "match").rows() == [
        ("danbooru-5000-0", "77", "danbooru", 1, "source_url", "same_page"),
        ("pixiv_niji-77-0", "77", "pixiv_niji", 0, "own_id", "other_page"),
        ("pixiv_niji-77-1", "77", "pixiv_niji", 1, "own_id", "same_page"),
        ("danbooru-6000-0", "78", "danbooru", None, "pixiv_id", "page_unknown"),
        ("pixiv_niji-78-0", "78", "pixiv_niji", 0, "own_id", "page_unknown"),
    ]
    chapters = {chapter.table: chapter.facts for chapter in trace(mirror.config, "danbooru-5000-0")}
    assert chapters["same_works"]["match"] == "same_page"
    with duckdb.connect(mirror.root / "catalog.duckdb", read_only=True) as connection:
        [(count,)] = connection.execute("SELECT count(*) FROM same_works WHERE source = 'danbooru'").fetchall()
    assert count == 2


@pytest.mark.slow
def test_a_new_link_in_one_year_is_found_and_an_unchanged_rebuild_makes_nothing_anew(mirror: Mirror) -> None:
    mirror.rebuild(assets=WORKS)
    before = mirror.commits("same_works")[Cell()].run_id
    mirror.rebuild(assets=WORKS)
    assert mirror.commits("same_works")[Cell()].run_id == before
    mirror.posts[7000] |= {"pixiv_id": "78"}
    mirror.write_metadata()
    mirror.rebuild(assets=WORKS)

    assert "danbooru-7000-0" in mirror.table("same_works", Cell()).get_column("image_id").to_list()
