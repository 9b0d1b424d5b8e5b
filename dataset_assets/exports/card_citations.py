"""How a release asks to be cited, and what its sources ask for."""

import re
from collections.abc import Mapping
from typing import Any

DANBOORU2021 = r"""@misc{danbooru2021,
  author = {Anonymous and Danbooru community and Gwern Branwen},
  title = {Danbooru2021: A Large-Scale Crowdsourced and Tagged Anime Illustration Dataset},
  howpublished = {\url{https://gwern.net/danbooru2021}},
  url = {https://gwern.net/danbooru2021},
  type = {dataset},
  year = {2022},
  month = {January},
  timestamp = {2022-01-21}
}"""
NIJI = """@misc{pixiv_niji_journey,
  author = {Linaqruf},
  title = {Pixiv Niji Journey},
  year = {2022},
  publisher = {Hugging Face},
  url = {https://huggingface.co/datasets/Linaqruf/pixiv-niji-journey}
}"""
PD12M = """@misc{meyer2024publicdomain12m,
  title = {Public Domain 12M: A Highly Aesthetic Image-Text Dataset with Novel Governance Mechanisms},
  author = {Jordan Meyer and Nick Padgett and Cullen Miller and Laura Exline},
  year = {2024},
  eprint = {2410.23144},
  archivePrefix = {arXiv},
  primaryClass = {cs.AI},
  url = {https://arxiv.org/abs/2410.23144}
}"""
# By words in a source's name: a mirror's layout alone says nothing of whose collection it is.
_BY_NAME = ((r"danbooru_?20(17|18|19|20|21)", DANBOORU2021), (r"niji", NIJI))
_BY_KIND = {"pd12m": PD12M}


def of_release(manifest: Mapping[str, Any]) -> str:
    """BibTeX of the release, or what dataset.yaml says instead. It has no date: a release's bytes tell of no clock."""
    if manifest.get("citation"):
        return str(manifest["citation"])
    name = str(manifest["name"])
    title = _braced(str(manifest.get("title") or name))
    pins = f"Release {_braced(name)}, SHA-256 of its members: {manifest['members']['sha256']}"
    return f"@misc{{{_key(name)},\n  title = {{{title}}},\n  type = {{dataset}},\n  note = {{{pins}}}\n}}"


def of_sources(manifest: Mapping[str, Any]) -> dict[str, str]:
    """What each source asks for, by its name; those of which nothing is known are left out."""
    found = {}
    for name, source in sorted(manifest.get("sources", {}).items()):
        asked = source.get("citation") or _by_name(name) or _BY_KIND.get(source.get("kind"))
        if asked:
            found[name] = str(asked)
    return found


def _by_name(source: str) -> str | None:
    return next((asked for words, asked in _BY_NAME if re.search(words, source, re.IGNORECASE)), None)


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name) or "release"


def _braced(text: str) -> str:
    """Text within braces: one that opened or closed a brace, or began a command, would end the entry."""
    return re.sub(r"([#$%&_])", r"\\\1", re.sub(r"[{}\\\n\r]+", " ", text))
