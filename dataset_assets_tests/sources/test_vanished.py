from datetime import UTC, datetime

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.schemas import IMAGE_ID, TIME, Column, Table
from dataset_assets.sources.vanished import Export, vanished, vanished_table

SNAPSHOT = Table(
    "source_snapshot",
    "record",
    (
        IMAGE_ID,
        Column("year", pl.Int32, "year"),
        Column("created_at", TIME, "when"),
        Column("score", pl.Int32, "score"),
    ),
    ("year", "image_id"),
)
TABLE = vanished_table(SNAPSHOT)


def export(name: str, posts: set[int], score: int = 0, known_at: datetime | None = None) -> Export:
    """An export of posts, ten to a year."""
    rows = [
        (f"danbooru-{post}-0", 2005 + post // 10, datetime(2005 + post // 10, 1, 1, tzinfo=UTC), score)
        for post in sorted(posts)
    ]
    frame = pl.DataFrame(rows, schema=SNAPSHOT.schema, orient="row")
    years = {
        year: (count, f"{sorted(post for post in posts if 2005 + post // 10 == year)}")
        for year, count in frame.group_by("year").len().rows()
    }
    return Export(name, frame.lazy(), years, known_at)


def rows(present: Export, earlier: list[Export]) -> list[tuple[str, str, str]]:
    parts = vanished(TABLE, present, earlier)
    found = pl.concat([TABLE.empty().lazy(), *parts]).sort("image_id").collect()
    return found.select("image_id", "last_seen_in", "missing_from").rows()


posts = st.sets(st.integers(0, 35), max_size=20)


@given(posts, st.lists(posts, max_size=4))
def test_each_record_ever_seen_is_present_or_vanished_and_stands_once(now: set[int], then: list[set[int]]) -> None:
    earlier = [export(str(number), held) for number, held in enumerate(then)]
    found = rows(export("now", now), earlier)
    ids = [image_id for image_id, _, _ in found]
    assert len(ids) == len(set(ids))
    assert set(ids) == {f"danbooru-{post}-0" for post in set().union(*then) - now}
    for image_id, last_seen, missing_from in found:
        post = int(image_id.split("-")[1])
        newest = max(number for number, held in enumerate(then) if post in held)
        assert last_seen == str(newest)
        assert missing_from == (str(newest + 1) if newest + 1 < len(then) else "now")


def test_a_record_made_after_the_present_exports_newest_time_has_not_vanished() -> None:
    newer = export("newer", {1, 11, 21})
    older = export("older", {1}, known_at=datetime(2006, 6, 1, tzinfo=UTC))
    assert rows(older, [newer]) == [("danbooru-11-0", "newer", "older")]


def test_values_are_those_last_seen_and_columns_that_an_old_export_lacks_are_null() -> None:
    old = export("old", {1, 2}, score=3)
    old = Export("old", old.records.drop("score"), old.years)
    newer = export("newer", {1}, score=5)
    parts = vanished(TABLE, export("now", {30}), [old, newer])
    found = pl.concat(parts).sort("image_id").select("image_id", "score").collect().rows()
    assert found == [("danbooru-1-0", 5), ("danbooru-2-0", None)]
