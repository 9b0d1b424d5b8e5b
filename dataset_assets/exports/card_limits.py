"""What a release does not say or cannot promise, out of its figures."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from dataset_assets.domain.plain_text import share
from dataset_assets.exports.card_figures import Figures
from dataset_assets.exports.card_parts import Items, Section

_MUCH = 0.5  # of all images by one artist


def limits(figures: Figures, manifest: Mapping[str, Any]) -> Section:
    """Each as a sentence."""
    return Section(
        "Known limits", [Items([*_lacking(figures), *_trusted(figures), *_skewed(figures), *_made(figures)])]
    )


def _lacking(figures: Figures) -> list[str]:
    """What is not known of some images."""
    total = figures.total("images")
    asked = {
        "have no caption": ~pl.col("has_caption"),
        "have no rating": pl.col("rating").is_null(),
        "have no tag": ~pl.col("has_tags"),
        "name no artist": ~pl.col("has_artist"),
        "have no address where they could be looked at": ~pl.col("has_address"),
        "have no date; their year is that of the collection": ~pl.col("has_date"),
    }
    found = [(said, figures.total("images", where)) for said, where in asked.items()]
    return [f"{images:,} images ({share(images, total)}) {said}." for said, images in found if images]


def _trusted(figures: Figures) -> list[str]:
    """What is taken at its word."""
    total = figures.total("images")
    declared = figures.total("images", pl.col("is_ai_generated").fill_null(value=False))
    silent = figures.total("images", pl.col("is_ai_generated").is_null())
    said = []
    if declared:
        said.append(f"{declared:,} images ({share(declared, total)}) are declared to be made by AI.")
    if silent:
        said.append(
            f"Of {silent:,} images ({share(silent, total)}) the source does not say whether AI made them; some may be."
        )
    if figures.total("images", pl.col("rating").is_not_null()):
        said.append("Ratings are those of the sources; nobody looked at the images again.")
    if figures.total("tags"):
        said.append("Tags are incomplete: that a tag is missing does not say that what it names is not in the image.")
    if figures.total("images", pl.col("has_artist")):
        said.append("Artists are as the sources name them: a tag, or who uploaded the image.")
    return [*said, "Licences are as the settings of each source state them, on the basis given above."]


def _skewed(figures: Figures) -> list[str]:
    total, said = figures.total("images"), []
    singles = int((figures.tags["images"] == 1).sum())
    if singles:
        said.append(f"{singles:,} tags ({share(singles, figures.tags.height)} of them) are on one image only.")
    if figures.artists.height and total and figures.artists.item(0, "images") > _MUCH * total:
        images = int(figures.artists.item(0, "images"))
        said.append(f"{share(images, total)} of the images are by one artist.")
    across = int(figures.repeated.filter(pl.col("splits") > 1)["pictures"].sum())
    if across:
        said.append(f"{across:,} pictures are in more than one split.")
    return said


def _made(figures: Figures) -> list[str]:
    """What models made."""
    models = {*figures.embedding_models, *figures.composition["caption_model"].drop_nulls()}
    random = sorted(model for model in models if "random" in model.lower())
    said = [f"{model}: weights were drawn at random; what it made means nothing." for model in random]
    written = figures.total("images", pl.col("caption_model").is_not_null())
    if written:
        said.append(f"The first captions of {written:,} images were written by a model; nobody checked them.")
    return said
