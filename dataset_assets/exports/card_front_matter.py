"""The front matter of a card, as the Hugging Face hub reads it.

Source: https://huggingface.co/docs/hub/datasets-cards, .../repositories-licenses, .../datasets-manual-configuration
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dataset_assets.domain.plain_text import printable
from dataset_assets.exports.card_figures import Figures

# What the hub has a name for. Source: https://huggingface.co/docs/hub/repositories-licenses
_NAMES = (
    "apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m "
    "afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 "
    "cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0 "
    "cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl "
    "gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql "
    "ofl-1.1 ncsa unlicense zlib pddl lgpl-lr"
)
LICENSES = frozenset(_NAMES.split())
_ALSO = {"cc0": "cc0-1.0", "agpl-3.0-only": "agpl-3.0", "agpl-3.0-or-later": "agpl-3.0"}
_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
# A language is named when so much of the tags and captions is written in its letters.
_LEAST_SHARE = 0.02
_TAG_TASK, _CAPTION_TASKS = "image-classification", ("text-to-image", "image-to-text")
_HUB_FILE = re.compile(r"huggingface/data/(.+)-\d+-of-\d+\.parquet")
_SPLIT = re.compile(r"\w+(\.\w+)*")  # as `datasets` has it
UNSAFE = ("questionable", "explicit")


def front_matter(manifest: Mapping[str, Any], figures: Figures, files: Sequence[str]) -> dict[str, Any]:
    """Keys and values, none empty. files: names of those of the huggingface format."""
    said = {
        "pretty_name": printable(" ".join(str(manifest.get("title") or manifest["name"]).split())),
        **licenses(figures.composition["license"].drop_nulls().unique().sort().to_list()),
        "language": _languages(figures),
        "task_categories": _tasks(figures),
        "size_categories": [size_category(figures.total("images"))],
        "tags": _tags(figures),
        "configs": _configs(files),
    }
    return {name: value for name, value in said.items() if value}


def as_yaml(said: Mapping[str, Any]) -> str:
    """The block between two lines of dashes. YAML escapes what is not printable."""
    import yaml

    return f"---\n{yaml.safe_dump(dict(said), sort_keys=False, allow_unicode=True, width=1000)}---\n"


def licenses(names: Sequence[str]) -> dict[str, Any]:
    """license in the hub's words; where it has none for some, `other` and a name."""
    known = [hub_license(name) for name in names]
    if known and all(known):
        found = sorted({name for name in known if name})
        return {"license": found[0] if len(found) == 1 else found}
    named = re.sub(r"[^a-z0-9.+-]+", "-", "-and-".join(names).lower()).strip("-")[:90]
    return {"license": "other", "license_name": named or "unknown", "license_link": "LICENSES.md"}


def hub_license(name: str) -> str | None:
    """The hub's name of a licence; null = it has none."""
    wanted = re.sub(r"[\s_]+", "-", name.strip().lower())
    wanted = _ALSO.get(name.strip().lower(), _ALSO.get(wanted, wanted))
    return wanted if wanted in LICENSES else None


def size_category(images: int) -> str:
    """Such as 10K<n<100K."""
    if images < 1000:
        return "n<1K"
    step = min(len(str(images)) - 4, len(_SIZES) - 1)
    return f"{_SIZES[step]}<n<{_SIZES[step + 1]}" if step + 1 < len(_SIZES) else "n>1T"


def _languages(figures: Figures) -> list[str]:
    """en for latin letters, as tags and captions of these sources are; ja for kana."""
    texts = figures.languages["texts"]
    shares = {"en": figures.languages["latin"], "ja": figures.languages["kana"]}
    return [name for name, count in shares.items() if texts and count >= _LEAST_SHARE * texts]


def _tasks(figures: Figures) -> list[str]:
    tasks = ["unconditional-image-generation"]
    if figures.total("tags"):
        tasks.append(_TAG_TASK)
    if figures.captions.height:
        tasks += _CAPTION_TASKS
    return sorted(tasks)


def _tags(figures: Figures) -> list[str]:
    ratings = set(figures.composition["rating"].drop_nulls())
    return ["art", "illustration", "image", *(["not-for-all-audiences"] if ratings & set(UNSAFE) else [])]


def _configs(files: Sequence[str]) -> list[dict[str, Any]]:
    """What `load_dataset` reads of the repository; a pattern that matches no file would be an error."""
    splits = sorted({found.group(1) for name in files if (found := _HUB_FILE.fullmatch(name))})
    data = [{"split": _split_name(split), "path": f"huggingface/data/{split}-*.parquet"} for split in splits]
    return [{"config_name": "default", "data_files": data}] if data else []


def _split_name(split: str) -> str:
    return split if _SPLIT.fullmatch(split) else re.sub(r"\W+", "_", split)
