"""Where a tagger and a source disagree about tags, the clearest cases first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from dataset_assets.domain.predicted_tags import TrainedOn, is_in_sample, scores
from dataset_assets.domain.schemas import IMAGE_ID, Column, Table

MISSING, DOUBTFUL = "missing", "doubtful"
PAIR = ("image_id", "tag")

TAG_DISAGREEMENTS = Table(
    "tag_disagreements",
    "image and tag about which source and tagger disagree",
    (
        Column("rank", pl.Int64, "1 = the clearest case; images that the tagger has learnt from come last"),
        Column("image_id", pl.String, IMAGE_ID.description, ("predicted_tags.image_id",)),
        Column("tag", pl.String, "the tag, after the source's aliases", ("predicted_tags.tags", "tag_metadata.tag")),
        Column("category", pl.String, "general or character", ("predicted_tags.tags",)),
        Column("kind", pl.String, "missing = the tagger sees it, the source lacks it; doubtful = the reverse"),
        Column("score", pl.Float32, "the tagger's score; null = below its floor", ("predicted_tags.tags",)),
        Column("threshold", pl.Float32, "from which score on the tagger counts as seeing it"),
        Column("magnitude", pl.Float32, "distance of the score from the threshold, as a share of the most it can be"),
        Column(
            "is_in_sample", pl.Boolean, "the tagger has learnt from this image, so it proves little; null = unknown"
        ),
        Column("decided_by", pl.String, "who has decided about it; null = open", ("tag_decisions.who",)),
        Column("model", pl.String, "the tagger", ("predicted_tags.model",)),
    ),
    sorted_by=("rank",),
)


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how.

    labels: tag and category of what the tagger knows. aliases: antecedent, consequent. is_danbooru: whether the source
    has the tagger's own vocabulary; otherwise only tags that some image of the partition has can be missing.
    has_learnt: whether `trained` is about ids of this source.
    """

    labels: Sequence[tuple[str, str]]
    thresholds: Mapping[str, float]
    floor: float
    trained: TrainedOn
    is_danbooru: bool
    has_learnt: bool
    aliases: pl.DataFrame

    @property
    def known(self) -> pl.DataFrame:
        """tag, category, threshold of the tags that are compared, under the source's names."""
        schema = {"tag": pl.String, "category": pl.String}
        tags = pl.DataFrame([*self.labels], schema=schema, orient="row").filter(
            pl.col("category").is_in(list(self.thresholds))
        )
        least = pl.col("category").replace_strict(dict(self.thresholds), return_dtype=pl.Float32)
        return self.renamed(tags.lazy()).collect().unique("tag", maintain_order=True).with_columns(threshold=least)

    def renamed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Rows whose tag has the name that the source uses today."""
        names = self.aliases.lazy().select(tag="antecedent", proper="consequent").unique("tag")
        return rows.join(names, on="tag", how="left").with_columns(tag=pl.coalesce("proper", "tag")).drop("proper")


def compare(predicted: pl.LazyFrame, tags: pl.LazyFrame, decisions: pl.LazyFrame, how: Comparison) -> pl.LazyFrame:
    """Every pair that either of the two sees, of images with predictions and of tags that the tagger knows.

    decisions: those that count. Returns: image_id, tag, category, threshold, score, is_seen, is_tagged, is_in_sample,
    decided_by, model.
    """
    judged = predicted.filter(pl.col("error").is_null()).select("image_id", "model")
    known = how.known.lazy()
    tagged = tags.select(*PAIR).unique().join(judged, on="image_id", how="semi").join(known, on="tag", how="semi")
    if not how.is_danbooru:  # another vocabulary: what it has no word for, no image lacks
        known = known.join(tags.select("tag").unique(), on="tag", how="semi")
    found = how.renamed(scores(predicted).select(*PAIR, "score")).group_by(PAIR).agg(pl.col("score").max())
    found = found.join(known, on="tag", how="semi")
    pairs = found.join(tagged.with_columns(is_tagged=True), on=PAIR, how="full", coalesce=True)
    pairs = pairs.join(how.known.lazy(), on="tag").join(judged, on="image_id")
    decided = decisions.select(*PAIR, decided_by="who")
    in_sample = is_in_sample(pl.col("image_id"), how.trained, is_danbooru=how.has_learnt)
    return pairs.join(decided, on=PAIR, how="left").with_columns(
        is_tagged=pl.col("is_tagged").fill_null(False),
        is_seen=(pl.col("score") >= pl.col("threshold")).fill_null(False),
        is_in_sample=in_sample,
    )


def disagreements(pairs: pl.LazyFrame, floor: float) -> pl.LazyFrame:
    """Rows of TAG_DISAGREEMENTS among what `compare` gives."""
    score, least = pl.col("score"), pl.col("threshold")
    above = (score - least) / (1 - least).clip(1e-6)
    below = (least - score.fill_null(floor)) / least  # below the floor it is the floor, at most
    differ = pairs.filter(pl.col("is_seen") != pl.col("is_tagged")).with_columns(
        kind=pl.when("is_seen").then(pl.lit(MISSING)).otherwise(pl.lit(DOUBTFUL)),
        magnitude=pl.when("is_seen").then(above).otherwise(below).cast(pl.Float32).clip(0, 1),
    )
    order = [pl.col("is_in_sample").fill_null(False), -pl.col("magnitude"), *map(pl.col, PAIR)]
    ranked = differ.sort(order).with_row_index("rank", 1)
    return ranked.select(pl.col(name).cast(dtype) for name, dtype in TAG_DISAGREEMENTS.schema.items())


def agreement(pairs: pl.LazyFrame) -> dict[str, float | int]:
    """How far the two agree on images that the tagger has not learnt from; in-sample ones would flatter it.

    Of what the tagger sees, the share that the source has too (precision), and the reverse (recall).
    """
    fresh = pairs.filter(~pl.col("is_in_sample").fill_null(False))
    seen, tagged = pl.col("is_seen"), pl.col("is_tagged")
    counts = fresh.select(both=(seen & tagged).sum(), seen=seen.sum(), tagged=tagged.sum()).collect().row(0, named=True)
    measured: dict[str, float | int] = {"pairs_out_of_sample": int(counts["seen"] + counts["tagged"] - counts["both"])}
    if counts["seen"]:
        measured["precision_out_of_sample"] = round(counts["both"] / counts["seen"], 4)
    if counts["tagged"]:
        measured["recall_out_of_sample"] = round(counts["both"] / counts["tagged"], 4)
    return measured
