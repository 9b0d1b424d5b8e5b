"""What a card tells of a release's members in numbers: each figure from one pass over them."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from dataset_assets.domain.release_diff_names import artist_counts, tag_counts
from dataset_assets.exports.members import Members

# Every table of the composition is a sum over these.
KEYS = (
    *("source", "year", "split", "rating", "extension", "license", "license_basis", "may_redistribute"),
    *("is_ai_generated", "caption_model", "has_caption", "has_artist", "has_address", "has_date", "has_tags"),
)
SUMS = ("images", "bytes", "original_bytes", "tags")
# Width by height: the upper ends of classes, of which the middle one is square for all practical purposes.
ASPECTS = {0.5: "to 1:2", 0.72: "2:3", 0.95: "4:5", 1.05: "square", 1.4: "5:4", 2: "3:2"}
WIDEST = "from 2:1"
SIDES = (256, 384, 512, 640, 768, 1024, 1536, 2048, 4096)  # shorter side in pixels: the lower ends of classes
MOST_MODELS = 50

_LATIN, _KANA = r"\p{Latin}", r"[\p{Hiragana}\p{Katakana}]"


@dataclass(frozen=True)
class Figures:
    """The figures.

    composition: KEYS and SUMS. shapes: aspect (of ASPECTS or WIDEST), file_side and original_side (shorter sides, in
    classes of SIDES; 0 = below), images. tags_by_image: tags, images. tags, artists: name, category, images.
    captions: origin, characters, captions. languages: how many tags on images and captions have latin letters and how
    many have kana, and of how many. repeated: images, splits, and how many pictures are there so many times in so many
    splits: those that are there more than once.
    embedding_models: what made the vectors that come along.
    """

    composition: pl.DataFrame
    shapes: pl.DataFrame
    tags_by_image: pl.DataFrame
    tags: pl.DataFrame
    artists: pl.DataFrame
    captions: pl.DataFrame
    languages: dict[str, int]
    repeated: pl.DataFrame
    embedding_models: list[str]

    def total(self, what: str, where: pl.Expr | None = None) -> int:
        """A sum of SUMS, of all or of some rows of the composition."""
        rows = self.composition if where is None else self.composition.filter(where)
        return int(rows[what].sum())

    def by(self, *keys: str) -> pl.DataFrame:
        """SUMS by some of KEYS, in their order, nulls last."""
        return self.composition.group_by(keys).agg(pl.col(SUMS).sum()).sort(keys, nulls_last=True)


def figures_of(members: Members) -> Figures:
    """All of them. What is held grows with the number of distinct tags, artists and years, not with that of images,
    but for 16 bytes each to find the pictures that are there twice.
    """
    rows = members.scan()
    tags = tag_counts(rows)
    return Figures(
        composition=_composition(rows),
        shapes=_shapes(rows),
        tags_by_image=_counted(rows.select(tags=pl.col("tags").list.len().cast(pl.Int64)), "images"),
        tags=tags.sort("images", "name", descending=[True, False]),
        artists=artist_counts(rows).sort("images", "name", descending=[True, False]),
        captions=_captions(rows),
        languages=_languages(rows, tags),
        repeated=_repeated(rows),
        embedding_models=_models(members),
    )


def _counted(rows: pl.LazyFrame, count: str) -> pl.DataFrame:
    names = rows.collect_schema().names()
    counted = rows.group_by(names).agg(pl.len().cast(pl.Int64).alias(count)).collect(engine="streaming")
    return counted.sort(names, nulls_last=True)


def _composition(rows: pl.LazyFrame) -> pl.DataFrame:
    marked = rows.with_columns(
        has_caption=pl.col("captions").list.len() > 0,
        has_artist=pl.col("artist").list.len() > 0,
        has_address=pl.coalesce("page_url", "source_url", "file_url").is_not_null(),
        has_date=pl.col("created_at").is_not_null(),
        has_tags=pl.col("tags").list.len() > 0,
    )
    sums = marked.group_by(KEYS).agg(
        images=pl.len().cast(pl.Int64),
        bytes=pl.col("size").sum(),
        original_bytes=pl.col("original_size").sum(),
        tags=pl.col("tags").list.len().sum().cast(pl.Int64),
    )
    return sums.collect(engine="streaming").sort(KEYS, nulls_last=True)


def _shapes(rows: pl.LazyFrame) -> pl.DataFrame:
    ratio, aspect = pl.col("width") / pl.col("height"), pl.lit(WIDEST)
    for end, name in reversed(ASPECTS.items()):
        aspect = pl.when(ratio <= end).then(pl.lit(name)).otherwise(aspect)
    return _counted(
        rows.select(
            aspect=pl.when(ratio.is_not_null()).then(aspect),
            file_side=_side_class("width", "height"),
            original_side=_side_class("original_width", "original_height"),
        ),
        "images",
    )


def _side_class(width: str, height: str) -> pl.Expr:
    side, found = pl.min_horizontal(width, height), pl.lit(0)
    for start in SIDES:
        found = pl.when(side >= start).then(pl.lit(start)).otherwise(found)
    return pl.when(side.is_not_null()).then(found).cast(pl.Int32)


def _captions(rows: pl.LazyFrame) -> pl.DataFrame:
    said = rows.select(pl.col("captions").explode(keep_nulls=False, empty_as_null=False)).unnest("captions")
    return _counted(said.select("origin", characters=pl.col("caption").str.len_chars().cast(pl.Int64)), "captions")


def _languages(rows: pl.LazyFrame, tags: pl.DataFrame) -> dict[str, int]:
    said = rows.select(pl.col("captions").list.first().struct.field("caption").drop_nulls())
    captions = said.select(**_scripts("caption"), texts=pl.len()).collect(engine="streaming").row(0, named=True)
    weighed = tags.select(
        **{name: (has * pl.col("images")).sum() for name, has in _script_of("name").items()},
        texts=pl.col("images").sum(),
    ).row(0, named=True)
    return {name: int(captions[name] or 0) + int(weighed[name] or 0) for name in captions}


def _script_of(text: str) -> dict[str, pl.Expr]:
    return {"latin": pl.col(text).str.contains(_LATIN), "kana": pl.col(text).str.contains(_KANA)}


def _scripts(text: str) -> dict[str, pl.Expr]:
    return {name: has.sum() for name, has in _script_of(text).items()}


def _repeated(rows: pl.LazyFrame) -> pl.DataFrame:
    """How many pictures are shown by so many images, in so many splits; those that are there twice or more."""
    pixels = rows.filter(pl.col("pixel_hash").is_not_null()).select(
        hash=pl.col("pixel_hash").hash(seed=0), split=pl.col("split").hash(seed=0)
    )
    ordered = pixels.collect(engine="streaming").sort("hash")
    is_twice = (pl.col("hash") == pl.col("hash").shift(1)) | (pl.col("hash") == pl.col("hash").shift(-1))
    groups = ordered.filter(is_twice.fill_null(value=False)).group_by("hash")
    counted = groups.agg(images=pl.len().cast(pl.Int64), splits=pl.col("split").n_unique().cast(pl.Int64))
    return counted.group_by("images", "splits").agg(pictures=pl.len().cast(pl.Int64)).sort("images", "splits")


def _models(members: Members) -> list[str]:
    if members.embeddings is None:
        return []
    models = members.embeddings.select(pl.col("model").unique()).collect(engine="streaming")["model"]
    return [str(model) for model in models.drop_nulls().sort().head(MOST_MODELS)]


def quantile(counts: pl.DataFrame, value: str, count: str, share: float) -> Any:
    """The value below which a share of all counted ones lies; null of nothing."""
    ordered = counts.drop_nulls(value).sort(value)
    reached = ordered.filter(pl.col(count).cum_sum() >= share * pl.col(count).sum())
    return reached.item(0, value) if reached.height else None
