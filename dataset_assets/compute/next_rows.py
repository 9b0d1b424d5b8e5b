"""A partition's next rows in the table's order, some at a time: of a partition of millions, memory holds a part."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dataset_assets.domain.schemas import Table

ROWS_PER_PART = 200_000


@dataclass(frozen=True)
class NextRows:
    """What the next rows are taken from.

    wanted: image_id and input_key of every image; usable: rows of the table as it is; shards: files of computed rows.
    A row is taken if its image and key are wanted, from the table where both have it.
    """

    table: Table
    wanted: pl.DataFrame
    usable: pl.LazyFrame
    shards: list[Path]
    rows_per_part: int = ROWS_PER_PART

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows, by image_id."""
        wanted, shards = self.wanted.select("image_id", "input_key").sort("image_id"), self._spans()
        for part in wanted.iter_slices(self.rows_per_part):
            first, last = part["image_id"][0], part["image_id"][-1]
            is_here = pl.col("image_id").is_between(pl.lit(first), pl.lit(last))
            on = ["image_id", "input_key"]
            carried = self.usable.filter(is_here).join(part.lazy(), on=on, how="semi").collect()
            files = shards.filter(pl.col("first") <= pl.lit(last), pl.col("last") >= pl.lit(first))["file"].to_list()
            made = carried.clear()
            if files:
                lacking = part.join(carried, on="image_id", how="anti")
                computed = pl.scan_parquet(files, hive_partitioning=False).filter(is_here)
                made = computed.join(lacking.lazy(), on=on, how="semi").collect().unique("image_id", keep="any")
            yield pl.concat([carried, made.select(carried.columns)]).sort(self.table.sorted_by)

    def _spans(self) -> pl.DataFrame:
        """The first and the last image of each shard."""
        if not self.shards:
            return pl.DataFrame(schema={"file": pl.String, "first": pl.String, "last": pl.String})
        rows = pl.scan_parquet(self.shards, hive_partitioning=False, include_file_paths="file")
        spans = rows.group_by("file").agg(first=pl.col("image_id").min(), last=pl.col("image_id").max())
        return spans.sort("file").collect(engine="streaming")
