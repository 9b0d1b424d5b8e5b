"""A card's sections on what a release is made of, each out of its figures and its manifest."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from dataset_assets.domain.bar_plot import bar_plot
from dataset_assets.domain.plain_text import in_bytes, share
from dataset_assets.exports.card_figures import ASPECTS, SIDES, WIDEST, Figures, quantile
from dataset_assets.exports.card_parts import Code, Grid, Part, Plot, Section, Text

RATINGS = ("general", "sensitive", "questionable", "explicit")
TAGS_SHOWN, CATEGORY_TAGS_SHOWN, VALUES_SHOWN = 30, 10, 40
# Tags by how many images they are on: the upper ends of classes, the last without one.
_FREQUENCIES = (1, 9, 99, 999, 9_999, 99_999)

Rows = list[tuple[object, ...]]


def composition(figures: Figures) -> Section:
    """By source, year, rating, split and kind of file."""
    total = figures.total("images")
    parts: list[Part] = [_years_plot(figures)]
    for key, title in (("source", "Source"), ("rating", "Rating"), ("split", "Split"), ("extension", "File")):
        counts = _counts(figures, key)
        if [name for name, _ in counts] != ["not stated"]:
            parts.append(_shares(title, counts, total))
    by_year = figures.by("source", "year").select("source", "year", "images", "bytes", "tags").rows()
    years = [(source, str(year), images, in_bytes(size), tags) for source, year, images, size, tags in by_year]
    parts.append(Grid(("source", "year", "images", "size", "tags"), years, "By source and year"))
    return Section("Composition", parts)


def _counts(figures: Figures, key: str) -> list[tuple[str, int]]:
    """Images by value, ratings in their order, others the most frequent first; what is not stated last."""
    rows = [(value, images) for value, images in figures.by(key).select(key, "images").iter_rows() if value is not None]
    rank = {name: number for number, name in enumerate(RATINGS)}
    ordered = sorted(rows, key=lambda row: (rank.get(row[0], 99), -row[1], str(row[0])))
    unstated = figures.total("images", pl.col(key).is_null())
    return [*((str(value), images) for value, images in ordered), *([("not stated", unstated)] if unstated else [])]


def _shares(title: str, counts: Sequence[tuple[str, int]], total: int) -> Grid:
    rows: Rows = [(name, images, share(images, total)) for name, images in counts[:VALUES_SHOWN]]
    bars = [images / total if total else 0 for _, images in counts[:VALUES_SHOWN]]
    return Grid(("", "images", "share"), rows, title, bars)


def _years_plot(figures: Figures) -> Plot:
    counted = figures.by("year", "source").select("year", "source", "images").drop_nulls("year")
    found = counted["year"].unique().sort().to_list()
    years = list(range(found[0], found[-1] + 1)) if found else []
    groups = {}
    for source in counted["source"].unique().sort().to_list():
        numbers = dict(counted.filter(pl.col("source") == source).select("year", "images").iter_rows())
        groups[source] = [numbers.get(year, 0) for year in years]
    return Plot("years", "Images by year", bar_plot("images by year", list(map(str, years)), groups))


def sizes(figures: Figures) -> Section:
    """Aspect ratios, and sides of the files and of their originals."""
    names = [*ASPECTS.values(), WIDEST]
    aspects = dict(_summed(figures.shapes, "aspect"))
    counts = [aspects.get(name, 0) for name in names]
    parts: list[Part] = [
        Plot("aspects", "Images by aspect ratio", bar_plot("images by width : height", names, {"images": counts})),
        _sides(figures, "file_side", "Shorter side of the files"),
        _sides(figures, "original_side", "Shorter side of the originals"),
    ]
    return Section("Sizes and aspect ratios", parts)


def _summed(rows: pl.DataFrame, key: str) -> list[tuple[Any, int]]:
    return rows.group_by(key).agg(pl.col("images").sum()).sort(key, nulls_last=True).rows()


def _sides(figures: Figures, key: str, title: str) -> Grid:
    total, counts = figures.total("images"), []
    for start, images in _summed(figures.shapes, key):
        if start is None:
            counts.append(("not known", images))
            continue
        end = next((side for side in SIDES if side > start), None)
        counts.append((f"{start:,} to {end - 1:,} px" if end else f"{start:,} px and more", images))
    return _shares(title, counts, total)


def tags(figures: Figures) -> Section:
    """Frequencies and balance: head, tail, singletons, and what artists and characters there are."""
    if figures.tags.is_empty():
        return Section("Tags", [Text("No image has a tag.")])
    uses, total = int(figures.tags["images"].sum()), figures.total("images")
    heads = [(f"the {number:,} most frequent", number) for number in (10, 100, 1000) if number < figures.tags.height]
    typical = quantile(figures.tags_by_image, "tags", "images", 0.5)
    most = max(figures.tags_by_image["tags"].to_list(), default=0)
    said = (
        f"{uses:,} tags on images, {figures.tags.height:,} distinct; half of the images have {typical} tags or fewer, "
        f"the most has {most}."
    )
    balance: Rows = [(name, share(int(figures.tags["images"].head(number).sum()), uses)) for name, number in heads]
    parts: list[Part] = [
        Text(said),
        _frequency_plot(figures.tags),
        _most_frequent(figures.tags, total),
        _frequencies(figures.tags, uses),
        Grid(("tags", "share of all uses"), balance, "Head"),
        _categories(figures.tags, uses),
        *(_of_category(figures.tags, category, total) for category in ("character", "copyright")),
        _artists(figures, total),
    ]
    return Section("Tags and class balance", parts)


def _most_frequent(names: pl.DataFrame, total: int) -> Grid:
    first = names.head(TAGS_SHOWN).select("name", "category", "images").rows()
    rows: Rows = [(name, category, images, share(images, total)) for name, category, images in first]
    bars = [images / total for _, _, images in first]
    return Grid(("tag", "category", "images", "share"), rows, "Most frequent tags", bars)


def _frequency_class() -> pl.Expr:
    found = pl.lit(len(_FREQUENCIES))
    for number, end in reversed(list(enumerate(_FREQUENCIES))):
        found = pl.when(pl.col("images") <= end).then(pl.lit(number)).otherwise(found)
    return found.cast(pl.Int64)


def _class_name(number: int) -> str:
    starts = (1, *(end + 1 for end in _FREQUENCIES))
    if number == 0:
        return "1 image"
    return f"{starts[number]:,} to {_FREQUENCIES[number]:,}" if number < len(_FREQUENCIES) else f"{starts[number]:,}+"


def _by_frequency(names: pl.DataFrame) -> list[tuple[int, int, int]]:
    """Class, how many names are in it, and how many uses they have."""
    classes = names.group_by(frequency=_frequency_class()).agg(pl.len().cast(pl.Int64), pl.col("images").sum())
    return classes.sort("frequency").rows()


def _frequency_plot(names: pl.DataFrame) -> Plot:
    rows = _by_frequency(names)
    labels = [_class_name(number) for number, _, _ in rows]
    counts = [count for _, count, _ in rows]
    title = "tags by how many images they are on"
    return Plot("tags", title.capitalize(), bar_plot(title, labels, {"tags": counts}))


def _frequencies(names: pl.DataFrame, uses: int) -> Grid:
    rows: Rows = [(_class_name(number), count, share(used, uses)) for number, count, used in _by_frequency(names)]
    return Grid(("on", "tags", "share of all uses"), rows, "Tail: tags by how many images they are on")


def _categories(names: pl.DataFrame, uses: int) -> Grid:
    by = names.group_by("category").agg(
        names=pl.len().cast(pl.Int64), singles=(pl.col("images") == 1).sum().cast(pl.Int64), used=pl.col("images").sum()
    )
    rows: Rows = [
        (category, count, singles, share(used, uses))
        for category, count, singles, used in by.sort("used", "category", descending=[True, False]).iter_rows()
    ]
    return Grid(("category", "tags", "on one image", "share of all uses"), rows, "Categories")


def _of_category(names: pl.DataFrame, category: str, total: int) -> Grid:
    chosen = names.filter(pl.col("category") == category).select("name", "images")
    title = f"{chosen.height:,} of category {category}, the most frequent"
    return _shares(title, chosen.head(CATEGORY_TAGS_SHOWN).rows(), total)


def _artists(figures: Figures, total: int) -> Grid:
    named = figures.total("images", pl.col("has_artist"))
    title = f"{figures.artists.height:,} artists, on {share(named, total)} of the images"
    return _shares(title, figures.artists.select("name", "images").head(CATEGORY_TAGS_SHOWN).rows(), total)


def captions(figures: Figures) -> Section:
    """Where captions are from, how long they are, and what wrote them."""
    total, captioned = figures.total("images"), figures.total("images", pl.col("has_caption"))
    if not captioned:
        return Section("Captions", [Text("No image has a caption.")])
    rows: Rows = []
    for (origin,), counts in figures.captions.group_by("origin", maintain_order=True):
        middle, longest = quantile(counts, "characters", "captions", 0.5), counts["characters"].max()
        rows.append((origin, int(counts["captions"].sum()), middle, longest))
    written = figures.by("caption_model", "has_caption").filter("has_caption").sort("images", descending=True)
    models = [
        (name or "published, or not known", images) for name, images in written[["caption_model", "images"]].rows()
    ]
    return Section(
        "Captions",
        [
            Text(f"{captioned:,} images have a caption, {share(captioned, total)} of all."),
            Grid(("origin", "captions", "characters, median", "at most"), rows, "Origins"),
            _shares("What wrote an image's first caption", models, captioned),
        ],
    )


def licenses(figures: Figures, manifest: Mapping[str, Any]) -> Section:
    """Licences, who says so, and what was held back because of them."""
    keys = ("license", "license_basis", "source", "may_redistribute")
    rows: Rows = [
        (name, basis, source, "yes" if may else "no", images)
        for name, basis, source, may, images in figures.by(*keys).select(*keys, "images").iter_rows()
    ]
    parts: list[Part] = [
        Grid(("licence", "says who", "source", "may be passed on", "images"), rows),
        Text("ATTRIBUTION.csv names the artist, the source and the licence of each image; LICENSES.md sums them up."),
    ]
    held = manifest.get("held_back") or {}
    if held:
        parts.append(
            Text(
                "Held back: the pixels of "
                + ", ".join(f"{images:,} images of {source}" for source, images in sorted(held.items()))
                + ", which may not be passed on. Only formats without pixels tell of them."
            )
        )
    elif manifest.get("pixels") == "all" and figures.total("images", ~pl.col("may_redistribute")):
        said = "This release holds pixels that may not be passed on: it is for use within one's own house."
        parts.append(Text(said, is_warning=True))
    return Section("Licences", parts)


def duplicates(figures: Figures) -> Section:
    """Pictures that are there more than once, by their pixels."""
    pictures = int(figures.repeated["pictures"].sum())
    if not pictures:
        return Section("Duplicates", [Text("No two images have the same pixels.")])
    images = int((figures.repeated["pictures"] * figures.repeated["images"]).sum())
    parts: list[Part] = [
        Text(f"{pictures:,} pictures are there more than once, as {images:,} images: their pixels are equal."),
    ]
    across = int(figures.repeated.filter(pl.col("splits") > 1)["pictures"].sum())
    if across:
        parts.append(Text(f"{across:,} of them are in more than one split: what is learnt is tested on.", True))
    counted = figures.repeated.group_by("images").agg(pl.col("pictures").sum()).sort("images").head(VALUES_SHOWN)
    parts.append(Grid(("times", "pictures"), counted.rows(), "How often"))
    return Section("Duplicates", parts)


def making(manifest: Mapping[str, Any]) -> Section:
    """The subset's definition, the exports of the sources, and the recipes."""
    sources: Rows = []
    for name, source in sorted(manifest.get("sources", {}).items()):
        snapshot = source.get("snapshot") or {}
        known = str(snapshot.get("known_at") or "")[:10]
        until = manifest.get("until", {}).get(name)
        row = (name, source.get("kind"), snapshot.get("content"), snapshot.get("records"), known or None)
        sources.append((*row, None if until is None else str(until)))
    recipes: Rows = [(table, ", ".join(found)) for table, found in sorted(manifest.get("recipes", {}).items()) if found]
    chosen = {name: manifest[name] for name in ("images", "tags", "captions", "pixels") if manifest.get(name)}
    return Section(
        "How it was made",
        [
            Code(json.dumps({manifest.get("subset", ""): manifest.get("definition", {})}, indent=1, ensure_ascii=False),
                 "json", "The subset, as dataset.yaml defines it; an empty definition keeps every image that decodes"),
            Grid(("choice", "is"), [(name, _in_words(value)) for name, value in chosen.items()], "Choices"),
            Grid(("source", "kind", "export", "records", "known at", "up to"), sources, "Exports of the sources"),
            Grid(("table", "fingerprints of code and settings"), recipes, "Recipes"),
            Text(f"SHA-256 of the list of members: {manifest['members']['sha256']}"),
        ],
    )  # fmt: skip


def _in_words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
