"""A subset of a million images in one year of one source: judged, dealt into parts, added beside others, released.

    python -m benchmarks.subsets --images 1000000

The tables that a subset is judged by are drawn: titles, tags (20 an image, as often as Zipf has it), sizes, states, and
near-duplicates. No image is drawn: a subset reads none. Each step is `dataset-assets rebuild` of that asset, its checks
included, in a process of its own; memory is the largest resident set of that process, `nothing` is what it costs to
begin.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from dataset_assets.config import load_config
from dataset_assets.domain.annotations import CAPTIONS
from dataset_assets.domain.duplicate_tables import NEAR_DUPLICATES, split_keys
from dataset_assets.domain.schemas import (
    IMAGE_FACTS,
    IMAGE_METADATA,
    RAW_IMAGES,
    TAG_METADATA,
    TRAINING_IMAGES,
    Table,
)
from dataset_assets.storage.tables import Cell, Tables

CELL = Cell("drawn", 2019)
TAGS_PER_IMAGE, VOCABULARY = 20, 5_000
ROWS_AT_ONCE = 50_000
SETTINGS = """
root: ./data
sources:
  drawn:
    kind: danbooru
    metadata: none.json
    images: none
    years: 2019
    license: {name: CC0-1.0, basis: drawn, redistribute: true}
subsets:
  plain: {where: "width >= 512 and height >= 512 and not is_blank"}
  whole:
    license: [CC0-1.0]
    min_side: 256
    max_aspect: 3
    tags: "rating:general tag_3 -tag_40 -(tag_7 tag_9)"
    where: "width * height >= 200000 and not is_blank and luma_spread > 5 and title is not null"
    duplicates: drop
    splits: {train: 90, val: 5, test: 5}
  everything: {splits: {train: 95, val: 5}}
releases:
  everything_1: {subset: everything, formats: [ids]}
"""
STEPS = {
    "nothing": "the program alone",
    "plain": "a condition",
    "whole": "licence, sizes, tags, condition, duplicates, parts",
    "everything": "every image kept, in parts",
    "everything_1": "its release: members, ids, manifest",
}


def main() -> None:
    """Draw the tables where they are not there, run the steps, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path, default=Path("benchmarks/_data"))
    parser.add_argument("--step", help="run one step in this process, and print no table")
    options = parser.parse_args()
    folder = options.data / f"subsets_{options.images}"
    if options.step:
        if options.step == "draw":
            draw(folder, options.images)
        else:
            run(folder, options.step)
        return
    if not (folder / "drawn").exists():
        measured(folder, "draw", options.images)
    sys.stdout.write(f"{'step':14}{'wall, s':>9}{'cpu, s':>8}{'peak, MB':>10}  of {options.images:,} images\n")
    for step, what in STEPS.items():
        wall, cpu, peak = measured(folder, step, options.images)
        sys.stdout.write(f"{step:14}{wall:9.1f}{cpu:8.1f}{peak:10,.0f}  {what}\n")
        sys.stdout.flush()


def measured(folder: Path, step: str, images: int) -> tuple[float, float, float]:
    """Seconds, seconds of processors, and the largest resident set in MB, of a step in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.subsets", "--images", str(images), "--data", str(folder.parent)]
    began = time.monotonic()
    process = subprocess.Popen([*command, "--step", step], cwd=Path(__file__).parents[1])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{step} ended with {process.returncode}")
    return time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def run(folder: Path, step: str) -> None:
    """Rebuild one subset, or write the release."""
    import dagster as dg

    from dataset_assets.definitions import build
    from dataset_assets.rebuild import Rebuild

    config = load_config(folder / "dataset.yaml")
    with dg.DagsterInstance.ephemeral() as instance:
        work = Rebuild(build(config), config, instance, lambda line: None)
        if step == "nothing":
            return
        outcomes = work.releases([step]) if step in config.releases else work.run(config.cells(), [f"subset/{step}"])
        errors = [error for outcome in outcomes for error in outcome.errors]
    if errors:
        raise SystemExit("\n".join(errors))


def draw(folder: Path, images: int) -> None:
    """Write the tables of one year, the same for the same number."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(SETTINGS, "utf-8")
    tables, rng = Tables(load_config(folder / "dataset.yaml").root_path), np.random.default_rng(1)
    parts: list[tuple[Table, Cell, Callable[[pl.Series], pl.DataFrame]]] = [
        (IMAGE_METADATA, CELL, lambda ids: _metadata(ids, rng)),
        (RAW_IMAGES, CELL, _raw),
        (IMAGE_FACTS, CELL, lambda ids: _facts(ids, rng)),
        (TRAINING_IMAGES, CELL, _training),
        (NEAR_DUPLICATES, Cell(), _duplicates),
    ]
    for table, cell, rows in parts:
        frames = (_whole(table, rows(ids)) for ids in _ids(images))
        tables.commit(tables.stage_frames(table, cell, frames), "drawn")
    tables.commit(tables.stage_frames(TAG_METADATA, CELL, _tags(images, rng)), "drawn")
    tables.commit(tables.stage(CAPTIONS, CELL, CAPTIONS.empty()), "drawn")
    (folder / "drawn").touch()


def _ids(images: int) -> Iterator[pl.Series]:
    for start in range(0, images, ROWS_AT_ONCE):
        numbers = pl.int_range(start, min(start + ROWS_AT_ONCE, images), eager=True)
        yield (numbers + 10_000_000).cast(pl.String).alias("post_id")


def _named(post_ids: pl.Series) -> pl.Series:
    return ("drawn-" + post_ids + "-0").alias("image_id")


def _whole(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows with every column of the table; what is not given is null."""
    given = set(rows.columns)
    return rows.select(
        (pl.col(name) if name in given else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in table.schema.items()
    )


def _metadata(post_ids: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    ratings = np.array(["general", "sensitive", "questionable", "explicit"])
    return pl.DataFrame({"image_id": _named(post_ids), "post_id": post_ids}).with_columns(
        page=0,
        created_at=pl.lit(datetime(2019, 3, 1, tzinfo=UTC)),
        title="A title of the usual length, number " + pl.col("post_id"),
        description="Some words about " + pl.col("post_id") + ", which the artist wrote and nobody has read. " * 2,
        uploader_id=pl.col("post_id").str.slice(-4),
        source_url="https://example.org/artworks/" + pl.col("post_id"),
        file_url="https://example.org/original/" + pl.col("post_id") + ".png",
        md5=pl.col("post_id") + pl.col("post_id") + pl.col("post_id") + pl.col("post_id"),
        rating=pl.Series(ratings[rng.choice(4, len(post_ids), p=(0.6, 0.2, 0.1, 0.1))]),
        score=pl.Series(rng.integers(0, 100, len(post_ids))),
        pools=pl.concat_list(pl.col("post_id").str.slice(-3)),
    )


def _raw(post_ids: pl.Series) -> pl.DataFrame:
    is_stored = pl.col("post_id").str.ends_with("9").not_()
    return pl.DataFrame({"image_id": _named(post_ids), "post_id": post_ids}).with_columns(
        state=pl.when(is_stored).then(pl.lit("stored")).otherwise(pl.lit("pending")),
        reason=pl.when(~is_stored).then(pl.lit("file_missing")),
        path=pl.when(is_stored).then("images/raw/drawn/" + pl.col("post_id") + ".png"),
        sha256=pl.when(is_stored).then(pl.col("post_id") + pl.col("post_id")),
        size=1000,
        format=pl.lit("png"),
        extension=pl.lit("png"),
    )


def _stored(post_ids: pl.Series) -> pl.DataFrame:
    stored = post_ids.filter(~post_ids.str.ends_with("9"))
    return pl.DataFrame({"image_id": _named(stored), "post_id": stored})


def _facts(post_ids: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    rows = _stored(post_ids)
    return rows.with_columns(
        format=pl.lit("png"),
        width=pl.Series(rng.integers(100, 3000, rows.height)),
        height=pl.Series(rng.integers(100, 3000, rows.height)),
        is_blank=pl.Series(rng.random(rows.height) < 0.01),
        luma_spread=pl.Series(rng.random(rows.height) * 80),
        pixel_hash="pixels " + pl.col("post_id"),
    )


def _training(post_ids: pl.Series) -> pl.DataFrame:
    return _stored(post_ids).with_columns(
        path="images/training/drawn/" + pl.col("post_id") + ".jpg",
        sha256=pl.col("post_id") + pl.col("post_id") + pl.col("post_id") + pl.col("post_id"),
        size=500,
        width=512,
        height=400,
    )


def _duplicates(post_ids: pl.Series) -> pl.DataFrame:
    """Of fifty images each, the second duplicates the first."""
    rows = _stored(post_ids).with_columns(number=pl.col("post_id").cast(pl.Int64) % 50)
    leads = pl.when(pl.col("number") == 1).then(pl.col("image_id").shift(1)).otherwise("image_id")
    rows = rows.with_columns(
        group_id=leads,
        duplicate_of=pl.when(pl.col("number") == 1).then(leads),
        kind=pl.when(pl.col("number") == 1).then(pl.lit("perceptual")),
        group_size=pl.when(pl.col("number") < 2).then(2).otherwise(1),
        is_family=False,
        is_sketch_pair=False,
    )
    return rows.with_columns(split_keys(rows["group_id"]))


def _tags(images: int, rng: np.random.Generator) -> Iterator[pl.DataFrame]:
    """Tag by tag, in their order; the number of a tag is its rank."""
    weights = 1 / np.arange(1, VOCABULARY + 1)
    uses = np.minimum(images, weights / weights.sum() * images * TAGS_PER_IMAGE).astype(np.int64)
    for tag in sorted(f"tag_{number}" for number in range(VOCABULARY)):
        tagged = np.unique(rng.integers(0, images, uses[int(tag.removeprefix("tag_"))]))
        names = pl.Series("image_id", tagged + 10_000_000).cast(pl.String)
        for part in pl.DataFrame({"image_id": "drawn-" + names + "-0"}).iter_slices(ROWS_AT_ONCE):
            yield _whole(
                TAG_METADATA,
                part.with_columns(tag=pl.lit(tag), category=pl.lit("general"), origin=pl.lit("source")),
            )


if __name__ == "__main__":
    main()
