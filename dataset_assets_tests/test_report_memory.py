"""Reports of large releases take time, not memory: what is held does not grow with the images."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from dataset_assets.domain.members import MEMBERS

ROWS = 50_000
MOST_GROWTH = 150  # MB for four times the rows; held whole, they would be some 300 MB more

CODE = """
import re, sys
import polars as pl
before, after = (pl.scan_parquet(file) for file in sys.argv[1:])
{}
print(int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""
DIFF = (
    "from dataset_assets.domain.release_diff import release_diff; assert release_diff(before, after).count('removed')"
)
CARD = (
    "from dataset_assets.exports.card_figures import figures_of; from dataset_assets.exports.members import Members\n"
    "assert figures_of(Members([before], bytes)).total('images')"
)


def generated(rows: int) -> pl.LazyFrame:
    """Members that are all different, with twenty tags each of 30,000."""
    post = pl.int_range(rows, dtype=pl.Int64)
    numbers = [(post * (7919 + 131 * at) % (30_000 // (at + 1))).cast(pl.String) for at in range(20)]
    name = pl.lit("danbooru-") + post.cast(pl.String).str.zfill(9) + "-0"
    said = {
        "image_id": name, "source": pl.lit("danbooru"), "year": 2005 + post * 17 // rows, "sha256": name.repeat_by(3),
        "size": post % 90_000, "original_size": post % 900_000, "width": 200 + post % 300, "height": 250 + post % 250,
        "pixel_hash": name + "pixels", "rating": pl.lit("general"), "license": pl.lit("CC0-1.0"),
        "may_redistribute": pl.lit(value=True), "artist": pl.concat_list(numbers[0]),
        "tags": pl.concat_list(pl.struct(tag=pl.lit("tag_") + one, category=pl.lit("general")) for one in numbers),
    }  # fmt: skip
    said["sha256"] = said["sha256"].list.join("")
    lacking = {column: pl.lit(None) for column in MEMBERS.schema if column not in said}
    columns = said | lacking
    return pl.select(columns[column].cast(dtype).alias(column) for column, dtype in MEMBERS.schema.items()).lazy()


def peak(code: str, *files: Path) -> int:
    """Megabytes that a fresh interpreter holds at most. Not by `getrusage`, which counts the parent's too."""
    command = [sys.executable, "-c", CODE.format(code), *map(str, files)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)


@pytest.mark.slow
@pytest.mark.parametrize("code", [DIFF, CARD], ids=["diff", "card"])
def test_four_times_the_images_take_little_more_memory(code: str, tmp_path: Path) -> None:
    peaks = []
    for rows in (ROWS, 4 * ROWS):
        before, after = tmp_path / f"{rows}.parquet", tmp_path / f"{rows}-later.parquet"
        generated(rows).sink_parquet(before, row_group_size=20_000)
        is_left = pl.col("image_id").str.slice(-3, 1) != "7"
        generated(rows).filter(is_left).sink_parquet(after, row_group_size=20_000)
        peaks.append(peak(code, before, after))

    assert peaks[1] - peaks[0] < MOST_GROWTH, peaks
