"""A partition's next rows: the same whole as in parts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from dataset_assets.compute.next_rows import NextRows
from dataset_assets.domain.schemas import Column, Table

TABLE = Table(
    "colours",
    "image",
    (
        Column("image_id", pl.String, "the image"),
        Column("colour", pl.String, "its colour"),
        Column("input_key", pl.String, "of its input"),
    ),
    sorted_by=("image_id",),
)
images = st.sampled_from([f"niji-{number}-0" for number in range(12)])
keyed = st.dictionaries(images, st.sampled_from(["a", "b"]), max_size=12)


def rows(keys: dict[str, str], colour: str) -> pl.DataFrame:
    found = [(image, f"{colour} of {image} {key}", key) for image, key in keys.items()]
    return pl.DataFrame(found, schema=TABLE.schema, orient="row")


@given(keyed, keyed, st.lists(keyed, max_size=3), st.integers(1, 13))
def test_each_wanted_row_comes_once_in_order_and_from_the_table_where_that_has_it(
    wanted: dict[str, str], held: dict[str, str], computed: list[dict[str, str]], size: int
) -> None:
    with TemporaryDirectory() as folder:
        shards = [Path(folder) / f"{number}.parquet" for number in range(len(computed))]
        for file, keys in zip(shards, computed, strict=True):
            rows(keys, "new").write_parquet(file)
        asked = pl.DataFrame(list(wanted.items()), schema=["image_id", "input_key"], orient="row").cast(pl.String)

        parts = list(NextRows(TABLE, asked, rows(held, "old").lazy(), shards, rows_per_part=size).frames())

    known = [(held, "old"), *((keys, "new") for keys in computed)]
    expected = [
        next((f"{colour} of {image} {key}" for keys, colour in known if keys.get(image) == key), None)
        for image, key in sorted(wanted.items())
    ]
    found = pl.concat([TABLE.empty(), *parts])
    assert found["colour"].to_list() == [colour for colour in expected if colour is not None]
    assert all(part.height <= size for part in parts)
    assert_frame_equal(found, found.sort("image_id"))
