"""Shards as large as PD12M's own, in its layout of eight columns, with dirt in known amounts."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

ROWS_PER_SHARD = 100_000

_PLACES = (
    "beach,castle,city,field,forest,garden,harbour,lake,library,market,mountain,museum,river,station,street,village"
)
_THINGS = "boat,bridge,chair,church,clock,dog,fence,flower,horse,house,lamp,painting,statue,table,tower,tree,window"
_CAPTION = "The image shows a {} near a {} in a {}, with a {} in the background and several people standing beside it."
_LICENSES = [f"https://creativecommons.org/publicdomain/{name}/1.0/" for name in ("zero", "mark")]
_REPEATED, _WITHOUT_ID = 5_000, 20_000  # of so many rows, one


def write_shards(rows: int, folder: Path, seed: int = 0) -> Counter[str]:
    """Write the shards and `counts.json` beside them. Returns: lines; stored; a `rejected:` for each reason."""
    folder.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    for shard, start in enumerate(range(0, rows, ROWS_PER_SHARD)):
        drawn = _draw(min(ROWS_PER_SHARD, rows - start), np.random.default_rng([seed, shard]))
        drawn.write_parquet(folder / f"pd12m.{shard:03}.parquet", compression="snappy")
        without_id = drawn["id"].null_count()
        repeated = drawn.height - without_id - drawn["id"].drop_nulls().n_unique()
        counts.update({"lines": drawn.height, "stored": drawn.height - without_id - repeated})
        counts.update({"rejected:no_id": without_id, "rejected:duplicate_id": repeated})
    (folder / "counts.json").write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", "utf-8")
    return counts


def _draw(rows: int, rng: np.random.Generator) -> pl.DataFrame:
    number = np.arange(rows)
    is_repeated, is_without_id = number % _REPEATED == _REPEATED - 1, number % _WITHOUT_ID == _WITHOUT_ID // 2
    digits, hashes = rng.bytes(16 * rows).hex(), rng.bytes(16 * rows).hex()
    texts = [digits[32 * place : 32 * place + 32] for place in np.where(is_repeated, number - 1, number).tolist()]
    ids = pl.Series([f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in texts])
    places, things = pl.Series(_PLACES.split(",")), pl.Series(_THINGS.split(","))
    words = [source.gather(rng.integers(0, len(source), rows)) for source in (things, things, places, things)]
    frame = pl.DataFrame([ids.alias("whole_id"), *(word.alias(f"word_{i}") for i, word in enumerate(words))])
    return frame.select(
        id=pl.when(~pl.Series(is_without_id)).then("whole_id"),
        url=pl.format("https://pd12m.s3.us-west-2.amazonaws.com/images/{}.jpeg", "whole_id"),
        caption=pl.format(_CAPTION, *(f"word_{i}" for i in range(4))),
        width=pl.Series(rng.integers(256, 9000, rows)),
        height=pl.Series(rng.integers(256, 9000, rows)),
        mime_type=pl.lit("image/jpeg"),
        hash=pl.Series([hashes[start : start + 32] for start in range(0, 32 * rows, 32)]),
        license=pl.Series(_LICENSES).gather(rng.choice(2, rows, p=[0.2, 0.8])),
    )
