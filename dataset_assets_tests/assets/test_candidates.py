"""Rows of a subset and their parts."""

import polars as pl

from dataset_assets.assets.candidates import with_splits

JUDGED = pl.LazyFrame(
    {"image_id": ["d-1-0", "d-2-0"], "drop_reason": [None, "tags"]}, schema_overrides={"drop_reason": pl.String}
)


def test_an_image_that_is_dropped_is_in_no_part() -> None:
    split = pl.LazyFrame({"image_id": ["d-2-0", "d-1-0"], "split": ["train", "val"]})
    found = with_splits(JUDGED, split).sort("image_id").collect()

    assert found.rows() == [("d-1-0", None, "val"), ("d-2-0", "tags", None)]


def test_without_splits_there_are_no_parts() -> None:
    found = with_splits(JUDGED, None).collect()

    assert found.get_column("split").to_list() == [None, None]
    assert found.schema["split"] == pl.String
