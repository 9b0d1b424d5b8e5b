"""Exports as large as Danbooru's own, in both schemas, with dirt in known amounts.

Drawn column by column and deterministic by seed: a shard is the same whether it is drawn alone or with the others.
"""

import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import starmap
from math import gcd
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.danbooru_text import LINES
from benchmarks.vocabulary import CATEGORIES, Vocabulary

Schema = Literal["old", "new"]
Numbers = npt.NDArray[np.int64]

RECORDS_PER_SHARD = 100_000
_RECORDS_PER_BATCH = 20_000
_TAGS_DRAWN = 37.0  # repeats among them are dropped: some 34 are left

# Posts by year, 2005 to 2021, in thousands: about as many as Danbooru has.
_POSTS_BY_YEAR = (56, 98, 110, 152, 207, 246, 270, 290, 285, 283, 300, 330, 390, 430, 480, 530, 560)

# Of how many lines one is dirty, and which: (every, offset). The rarest kind wins where two meet.
_DIRT: dict[Schema, dict[str, tuple[int, int]]] = {
    "old": {
        "plain_text": (50_000, 31),
        "bad_date": (20_000, 77),
        "torn": (10_000, 517),
        "no_id": (10_000, 5_303),
        "duplicate_id": (2_000, 1_999),
        "repeated_tag": (500, 250),
    },
    "new": {
        "plain_text": (50_000, 31),
        "bad_date": (20_000, 77),
        "torn": (10_000, 517),
        "duplicate_id": (2_000, 1_999),
        "no_id": (250, 101),  # banned and gold-only posts
        "repeated_tag": (500, 250),
    },
}
_FIRST_OF_DUPLICATES = 999  # of 2,000 lines, the one whose id is used again; never dirty itself
_REASONS = {
    "plain_text": "not_json",
    "torn": "not_json",
    "bad_date": "bad_date",
    "no_id": "no_id",
    "duplicate_id": "duplicate_id",
}


@dataclass(frozen=True)
class Export:
    """What to draw."""

    schema: Schema
    records: int
    vocabulary: Vocabulary
    seed: int = 0

    @property
    def shards(self) -> int:
        return -(-self.records // RECORDS_PER_SHARD)


def write_export(export: Export, folder: Path, processes: int = 1) -> Counter[str]:
    """Write the shards of an export and `counts.json` beside them, which says what they hold.

    Returns: the counts: lines; stored; a `rejected:` for each reason; tags (distinct, of stored records); repeated_tag
    (records in which a tag stands twice); empty_artist (stored records without artist).
    """
    folder.mkdir(parents=True, exist_ok=True)
    shard = partial(_write_shard, export, folder)
    if min(processes, export.shards) == 1:
        counted = list(map(shard, range(export.shards)))
    else:
        # A fork would take over the locks of Polars' threads, but not the threads.
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            counted = list(pool.map(shard, range(export.shards)))
    counts: Counter[str] = sum(counted, Counter())
    (folder / "counts.json").write_text(json.dumps(counts, indent=1, sort_keys=True) + "\n", "utf-8")
    return counts


def _write_shard(export: Export, folder: Path, shard: int) -> Counter[str]:
    first, last = shard * RECORDS_PER_SHARD, min((shard + 1) * RECORDS_PER_SHARD, export.records)
    counts: Counter[str] = Counter()
    file = folder / f"posts{shard:012}.json"
    with file.open("wb") as target:
        for start in range(first, last, _RECORDS_PER_BATCH):
            batch = _Batch(export, np.arange(start, min(start + _RECORDS_PER_BATCH, last)))
            batch.lines().write_csv(target, include_header=False, quote_style="never")
            counts += batch.counts()
        if shard % 2 == 0:  # as some of the real files have it
            target.truncate(target.tell() - 1)
    return counts


class _Batch:
    """Some records, by their place among all lines of the export."""

    def __init__(self, export: Export, places: Numbers) -> None:
        self._export = export
        self._rng = np.random.default_rng([export.seed, int(places[0])])
        self._kinds = _kinds(export.schema, places)
        self._posts = self._draw_posts(places)
        self._tags = self._draw_tags()

    def lines(self) -> pl.DataFrame:
        """The batch as text, one column with a line for each record."""
        rows = self._posts.with_columns(
            named.alias(f"tags_{name}") for name, named in self._joined(self._export.schema).items()
        )
        return rows.select(line=self._soiled(LINES[self._export.schema]))

    def counts(self) -> Counter[str]:
        rejected = Counter(f"rejected:{_REASONS[kind]}" for kind in self._kinds.tolist() if kind in _REASONS)
        is_stored = ~np.isin(self._kinds, list(_REASONS))
        owner, tag = self._tags
        stored_tags = _distinct((owner[is_stored[owner]] << 32) | tag[is_stored[owner]])
        with_artist = _distinct(owner[self._export.vocabulary.categories[tag] == 1])
        counts = Counter(
            lines=len(self._kinds),
            stored=int(is_stored.sum()),
            tags=len(stored_tags),
            repeated_tag=int((self._kinds == "repeated_tag").sum()),
            empty_artist=int(is_stored.sum() - is_stored[with_artist].sum()),
        )
        return counts + rejected

    def _draw_posts(self, places: Numbers) -> pl.DataFrame:
        rng, count = self._rng, len(places)
        originals = np.where(self._kinds == "duplicate_id", _first_of_duplicates(places), places)
        when = _order(originals, self._export.records)
        created = _moments(when, self._export.records)
        width, height = rng.integers(400, 3000, (2, count))
        score = rng.geometric(0.12, count) - 2
        digits = rng.bytes(16 * count).hex()
        return pl.DataFrame(
            {
                "kind": self._kinds,
                "id": when + when // 25 + 1,
                "created": created,
                "updated": created + rng.integers(10**9, 10**14, count),
                "commented": created + rng.integers(10**9, 10**14, count),
                "uploader": rng.zipf(1.3, count) % 600_000 + 1,
                "approver": rng.integers(1, 60_000, count),
                "parent": rng.integers(1, 5_000_000, count),
                "pixiv": rng.integers(1, 95_000_000, count),
                "width": width,
                "height": height,
                "size": width * height // 3 + 20_000,
                "score": score,
                "down": -(rng.random(count) < 0.1).astype(np.int64),
                "favourites": np.minimum(rng.geometric(0.055, count) - 1, 200),
                "rating": np.array(list("sqe"))[rng.choice(3, count, p=[0.75, 0.15, 0.10])],
                "ext": np.array(["jpg", "png", "gif", "webm"])[rng.choice(4, count, p=[0.72, 0.26, 0.01, 0.01])],
                "md5": [digits[start : start + 32] for start in range(0, 32 * count, 32)],
                "chance": rng.random(count),
                "cut": rng.random(count),
            }
        )

    def _draw_tags(self) -> tuple[Numbers, Numbers]:
        """(record in the batch, tag) pairs in this order; repeated only in records that are to have that."""
        lengths = np.clip(self._rng.poisson(_TAGS_DRAWN, len(self._kinds)), 3, None)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        tag = self._export.vocabulary.draw(len(owner), self._rng)
        pairs = _distinct(np.sort((owner << 32) | tag))
        again = np.flatnonzero(self._kinds == "repeated_tag")
        pairs = np.sort(np.concatenate([pairs, pairs[np.searchsorted(pairs, again << 32)]]))
        return pairs >> 32, pairs & 0xFFFFFFFF

    def _joined(self, schema: Schema) -> dict[str, pl.Series]:
        """The tags of each record as the schema writes them."""
        owner, tag = self._tags
        vocabulary, count = self._export.vocabulary, len(self._kinds)
        if schema == "old":
            described = _described(vocabulary)
            favourites = np.repeat(np.arange(count), self._posts["favourites"].to_numpy())
            by_user = pl.Series(self._rng.integers(1, 700_000, len(favourites))).cast(pl.String)
            return {
                "all": _join(owner, described.gather(tag), ",", count),
                "favs": _join(favourites, '"' + by_user + '"', ",", count),
            }
        category, names = vocabulary.categories[tag], vocabulary.names.gather(tag)
        joined = {"all": _join(owner, names, " ", count)}
        for number, name in CATEGORIES.items():
            chosen = np.flatnonzero(category == number)
            joined[name] = _join(owner[chosen], names.gather(chosen), " ", count)
            joined[f"count_{name}"] = pl.Series(np.bincount(owner[chosen], minlength=count))
        return joined

    def _soiled(self, line: pl.Expr) -> pl.Expr:
        """Lines as they are, but for those that are to be torn or no record at all."""
        length = line.str.len_chars()
        kept = (1 + pl.col("cut") * (length - 2)).floor().cast(pl.Int64)
        return (
            pl.when(pl.col("kind") == "torn")
            .then(line.str.slice(0, kept))
            .when(pl.col("kind") == "plain_text")
            .then(pl.lit("502 Bad Gateway"))
            .otherwise(line)
        )


def _distinct(ordered: Numbers) -> Numbers:
    distinct: Numbers = ordered[np.diff(ordered, prepend=-1) != 0]
    return distinct


def _kinds(schema: Schema, places: Numbers) -> npt.NDArray[np.str_]:
    dirt = _DIRT[schema]
    return np.select(list(starmap(lambda every, offset: places % every == offset, dirt.values())), list(dirt), "")


def _first_of_duplicates(places: Numbers) -> Numbers:
    """An earlier line for each, near or far, that is sound."""
    block = places // 2_000
    return 2_000 * (block * 7919 % (block + 1)) + _FIRST_OF_DUPLICATES


def _order(places: Numbers, records: int) -> Numbers:
    """Where each line's post stands among all by age: lines are in no order, as in the real exports."""
    stride = next(step for step in range(int(records * 0.618) | 1, 2 * records + 2) if gcd(step, records) == 1)
    order: Numbers = (places * stride + records // 3) % records
    return order


def _moments(order: Numbers, records: int) -> Numbers:
    """Microseconds since 1970 at which posts of this age were made: as many in each year as there really were."""
    years = np.arange(2005, 2006 + len(_POSTS_BY_YEAR))
    bounds = (years - 1970).astype("datetime64[Y]").astype("datetime64[us]").astype(np.int64)
    shares = np.concatenate([[0], np.cumsum(_POSTS_BY_YEAR)]) / sum(_POSTS_BY_YEAR)
    return np.interp((order + 0.5) / records, shares, bounds).astype(np.int64)


def _described(vocabulary: Vocabulary) -> pl.Series:
    """Each tag as an object of the old schema."""
    columns = {"name": vocabulary.names, "category": vocabulary.categories}
    number = pl.int_range(pl.len()) * 7919 % 1_000_003
    parts = ('{"id":"', number, '","name":"', pl.col("name"), '","category":"', pl.col("category"), '"}')
    texts = [pl.lit(part) if isinstance(part, str) else part.cast(pl.String) for part in parts]
    return pl.DataFrame(columns).select(tag=pl.concat_str(texts))["tag"]


def _join(owner: Numbers, texts: pl.Series, separator: str, count: int) -> pl.Series:
    """The texts of each of `count` records in one; owners are in order. Empty where a record has none."""
    by_owner = (
        pl.DataFrame({"owner": owner, "text": texts})
        .group_by("owner", maintain_order=True)
        .agg(pl.col("text").str.join(separator))
    )
    joined = pl.DataFrame({"owner": np.arange(count)}).join(by_owner, on="owner", how="left", maintain_order="left")
    return joined["text"].fill_null("")
