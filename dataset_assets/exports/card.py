"""The card of a release: README.md for the Hugging Face hub, card.html for a browser, and the pictures of the former.

All of it follows from the members and the manifest: equal releases have equal cards, and no card tells of a day.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dataset_assets.domain import html_page, markdown
from dataset_assets.domain.plain_text import in_bytes
from dataset_assets.exports import card_sections
from dataset_assets.exports.card_citations import of_release, of_sources
from dataset_assets.exports.card_figures import Figures, figures_of
from dataset_assets.exports.card_front_matter import as_yaml, front_matter
from dataset_assets.exports.card_limits import limits
from dataset_assets.exports.card_loading import FEW_FILES, ONE_BY_SPLIT, loading
from dataset_assets.exports.card_parts import (
    FOLDER,
    Code,
    Part,
    Picture,
    Section,
    Text,
    html_section,
    markdown_section,
    pictures,
)
from dataset_assets.exports.card_samples import Samples, samples
from dataset_assets.exports.members import Members
from dataset_assets.exports.target import Target, Written
from dataset_assets.storage.root import opened

README, PAGE, SAMPLES = "README.md", "card.html", f"{FOLDER}/samples.csv"


def write_card(members: Members, target: Target, manifest: Mapping[str, Any]) -> Iterator[Written]:
    """Write the card of a release whose formats are written.

    members: all of the release, also those whose pixels may not leave. manifest: all but what follows from the card.
    Raises: MemberLost when an image that would be shown is gone.
    """
    figures = figures_of(members)
    files = _files(target, manifest, figures)
    shown = samples(members)
    sections = _sections(figures, manifest, files, shown)
    facts = _facts(figures)
    yield target.put(README, _readme(manifest, figures, files, sections, facts).encode())
    yield target.put(PAGE, _page(manifest, sections, facts).encode())
    beside = pictures(sections) | ({} if shown is None else {SAMPLES: shown.credits()})
    for name, data in sorted(beside.items()):
        yield target.put(name, data)


def _files(target: Target, manifest: Mapping[str, Any], figures: Figures) -> dict[str, list[str]]:
    """Names of files that the card tells how to read."""
    root, formats = opened(target.place), manifest["formats"]
    found = {name: root.names(f"{name}/") for name in FEW_FILES if name in formats}
    splits = [split or "train" for split in figures.composition["split"].unique().sort()]
    for name, patterns in ONE_BY_SPLIT.items():
        if name in formats:
            wanted = dict.fromkeys(pattern.format(split=split) for pattern in patterns for split in splits)
            found[name] = [file for file in wanted if root.size(file) is not None]
    return found


def _sections(
    figures: Figures, manifest: Mapping[str, Any], files: Mapping[str, Sequence[str]], shown: Samples | None
) -> list[Section]:
    if not figures.total("images"):
        return [card_sections.making(manifest), _citation(manifest)]
    written = [name for name, files_of_it in manifest["formats"].items() if files_of_it["count"]]
    return [
        _sample_section(shown),
        card_sections.composition(figures),
        card_sections.sizes(figures),
        card_sections.tags(figures),
        card_sections.captions(figures),
        card_sections.licenses(figures, manifest),
        card_sections.duplicates(figures),
        limits(figures, manifest),
        card_sections.making(manifest),
        Section("How to read it", loading(written, files)),
        _citation(manifest),
    ]


def _sample_section(shown: Samples | None) -> Section:
    if shown is None:
        return Section("Samples", [Text("None of its images may be shown here.")])
    count = len(shown.shown)
    chosen = "as if drawn by lot from those that may be passed on and are not rated questionable or explicit"
    said = f"{count} images, {chosen}. {SAMPLES} names them and their artists."
    return Section("Samples", [Picture("samples", f"{count} images of the release", shown.jpeg), Text(said)])


def _citation(manifest: Mapping[str, Any]) -> Section:
    parts: list[Part] = [Code(of_release(manifest), "bibtex", "This release")]
    parts += [Code(asked, "bibtex", f"Its source {source}") for source, asked in of_sources(manifest).items()]
    return Section("Citation", parts)


def _facts(figures: Figures) -> list[tuple[str, str]]:
    repeated = int((figures.repeated["pictures"] * (figures.repeated["images"] - 1)).sum())
    return [
        ("images", f"{figures.total('images'):,}"),
        ("files", in_bytes(figures.total("bytes"))),
        ("originals", in_bytes(figures.total("original_bytes"))),
        ("tags on images", f"{figures.total('tags'):,}"),
        ("distinct tags", f"{figures.tags.height:,}"),
        ("artists", f"{figures.artists.height:,}"),
        ("captions", f"{int(figures.captions['captions'].sum()):,}"),
        ("images that repeat another", f"{repeated:,}"),
    ]


def _title(manifest: Mapping[str, Any]) -> str:
    return str(manifest.get("title") or manifest["name"])


def _readme(
    manifest: Mapping[str, Any],
    figures: Figures,
    files: Mapping[str, Sequence[str]],
    sections: Sequence[Section],
    facts: Sequence[tuple[str, str]],
) -> str:
    head = [
        as_yaml(front_matter(manifest, figures, files.get("huggingface", ()))),
        f"# {markdown.inline(_title(manifest))}\n",
    ]
    said = str(manifest.get("description") or "")
    body = [f"{markdown.inline(paragraph)}\n" for paragraph in said.split("\n\n") if paragraph.strip()]
    counted = ", ".join(f"{value} {name}" for name, value in (*facts[:1], *facts[3:6]))
    body.append(markdown.inline(f"Release {manifest['name']}: {counted}.") + "\n")
    return "\n".join([*head, *body, *(said for section in sections if (said := markdown_section(section)))])


def _page(manifest: Mapping[str, Any], sections: Sequence[Section], facts: Sequence[tuple[str, str]]) -> str:
    title, said = _title(manifest), str(manifest.get("description") or "")
    named = f"release {manifest['name']}" if title != manifest["name"] else ""
    return html_page.page(
        title,
        f"<h1>{html_page.text(title)}</h1>",
        html_page.paragraph(named, "soft") if named else "",
        *(html_page.paragraph(paragraph, "lead") for paragraph in said.split("\n\n") if paragraph.strip()),
        html_page.tiles(facts),
        *map(html_section, sections),
    )
