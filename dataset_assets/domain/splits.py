"""The parts of a subset, such as train and test: an image's part follows from a group that is never parted.

Of a group's name a number of 32 bits is made, and the shares cut these numbers into spans. So a part changes with
neither the order of images nor their number, and images that arrive move none; what can move one is a new link that
makes two groups one.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import polars as pl

from dataset_assets.domain.duplicate_tables import split_keys

SplitBy = Literal["duplicates", "sketch", "family", "image"]
SPLIT_BY: tuple[SplitBy, ...] = get_args(SplitBy)
MAX_SPLITS = 20
_KEYS = 2**32

_NAMED = {"name": pl.String, "joined": pl.String}


def split_of(key: pl.Expr, splits: Mapping[str, float]) -> pl.Expr:
    """The part in which a number of 0 to 4294967295 lies, by the parts' shares in their order."""
    total = sum(splits.values())
    ends = [round(reached / total * _KEYS) for reached in itertools.accumulate(splits.values())]
    *others, last = splits
    found = pl.lit(last)
    for name, end in reversed(list(zip(others, ends, strict=False))):
        found = pl.when(key < end).then(pl.lit(name)).otherwise(found)
    return found


def sketch_links(pairs: pl.LazyFrame) -> pl.LazyFrame:
    """Both images of each row of `sketch_pairs`, under the name of all that share an image with them."""
    both = [pairs.select(image_id=side, name="split_key") for side in ("colored_id", "sketch_id")]
    return pl.concat(both).unique()


def family_links(families: pl.LazyFrame, image_ids: pl.LazyFrame) -> pl.LazyFrame:
    """Images under the name of their post's family, or, where it has none, of their post: `<source>-<post>`."""
    of_post = pl.col("image_id").str.replace(r"-\d+$", "")
    roots = families.select(post=of_post, root=pl.format("{}-{}", of_post.str.extract(r"^([a-z0-9_]+)-"), "root_id"))
    posts = image_ids.select("image_id", post=of_post)
    return posts.join(roots.unique("post"), on="post", how="left").select("image_id", name=pl.coalesce("root", "post"))


def keys_of(
    images: pl.LazyFrame, groups: pl.LazyFrame | None = None, links: pl.LazyFrame | None = None
) -> pl.LazyFrame:
    """image_id and the number of the group that each image is never parted from, in any order.

    groups: rows of NEAR_DUPLICATES; an image that is not among them, or all where there are none, stand for themselves.
    links: image_id and name, one row for an image: what else keeps images together. It has the given images, as far as
    they have links, and likewise those of `groups` that are no group alone.
    """
    named, names = images.select("image_id"), [pl.col("image_id")]
    if groups is not None:
        # Few of them are asked about, and an engine that holds the others has no use for them.
        known = groups.select("image_id", "group_id").join(named, on="image_id", how="semi")
        named, names = named.join(known, on="image_id", how="left"), [pl.col("group_id"), *names]
    if links is not None:
        named, names = named.join(links, on="image_id", how="left"), [pl.col("name"), *names]
    if groups is not None and links is not None:
        joined = _joined(groups, links)
        for column in ("group_id", "name"):
            named = named.join(joined.rename({"name": column, "joined": f"joined by {column}"}), on=column, how="left")
            names = [pl.col(f"joined by {column}"), *names]
    key = pl.coalesce(names).map_batches(split_keys, return_dtype=pl.Int64, is_elementwise=True)
    return named.select("image_id", key=key)


def _joined(groups: pl.LazyFrame, links: pl.LazyFrame) -> pl.LazyFrame:
    """Names of links and of groups of duplicates that share an image, each with the one name of all they lead to."""
    several = groups.filter(pl.col("group_size") > 1).select("image_id", "group_id")
    shared = several.join(links, on="image_id").select("name", "group_id").unique().sort("name", "group_id").collect()
    found = lowest_names(shared.iter_rows())
    return pl.LazyFrame({"name": list(found), "joined": list(found.values())}, schema=_NAMED)


def lowest_names(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """For each link and each group, given as pairs of them that share an image: the lowest link that it leads to."""
    parents: dict[tuple[bool, str], tuple[bool, str]] = {}

    def root(one: tuple[bool, str]) -> tuple[bool, str]:
        parents.setdefault(one, one)
        while parents[one] != one:
            parents[one] = parents[parents[one]]  # halves the way for the next who asks
            one = parents[one]
        return one

    for link, group in pairs:
        low, high = sorted((root((False, link)), root((True, group))))
        parents[high] = low
    return {one[1]: root(one)[1] for one in parents}
