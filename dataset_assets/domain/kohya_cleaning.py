"""Captions and tags made uniform by kohya's rules, without what these do to words that only contain one of theirs.

Source: Linaqruf/kohya-trainer at c6b50b6, finetune/clean_captions_and_tags.py; the later rules of kohya-ss/sd-scripts,
which drop tags, are not followed. Differences:

- a rule is about whole words: a ladybird and a personal room stay what they are;
- what looks like a face keeps its underscores, also where it is not `^_^`;
- of DeepDanbooru's ratings each is dropped, not with it all tags that follow.
"""

import re
from collections.abc import Iterable, Sequence

# Names of faces that the Danbooru taggers know: here `_` is a mouth or a nose, no blank.
# Source: SmilingWolf/wd-tagger, app.py.
FACES = frozenset(
    (
        *("0_0", "(o)_(o)", "+_+", "+_-", "._.", "<o>_<o>", "<|>_<|>", "=_=", ">_<", "3_3", "6_9", ">_o"),
        *("@_@", "^_^", "o_o", "u_u", "x_x", "|_|", "||_||"),
    )
)

# Blanks, and the mark that readers take from the beginning of a file.
_AROUND = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\ufeff"

_ONE, _SEVERAL = ("female", "lady", "character", "woman"), "women"

# In this order, each until it changes nothing more.
REPLACEMENTS = (
    ("anime anime", "anime"),
    ("young ", ""),
    ("anime girl", "girl"),
    *((f"cartoon {who}", "girl") for who in _ONE),
    (f"cartoon {_SEVERAL}", "girls"),
    ("cartoon girl", "girl"),
    *((f"anime {who}", "girl") for who in _ONE),
    (f"anime {_SEVERAL}", "girls"),
    *((who, "girl") for who in ("lady", "female", "woman")),
    *((who, "girls") for who in (_SEVERAL, "people")),
    ("person", "girl"),
    *((f"a cartoon {what}", f"{article} {what}") for article, what in (("a", "figure"), ("an", "image"))),
    ("a cartoon picture", "a picture"),
    ("an anime cartoon image", "an image"),
    ("a cartoon anime drawing", "a drawing"),
    ("a cartoon drawing", "a drawing"),
    ("girl girl", "girl"),
)

_RULES = tuple(
    (old, re.compile(rf"(?<!\w){re.escape(old)}" + (r"(?!\w)" if old[-1].isalnum() else "")), new)
    for old, new in REPLACEMENTS
)


def clean_caption(caption: str) -> str:
    """A caption in which whoever is shown is a girl, and that it is a drawing is not said."""
    for old, rule, new in _RULES:
        while old in caption and (changed := rule.sub(new, caption)) != caption:
            caption = changed
    return caption


def clean_tags(tags: Iterable[str]) -> list[str]:
    """Tags with blanks for underscores, in their order, each once, without ratings."""
    return unique(tag if tag in FACES else tag.replace("_", " ") for tag in tags if not tag.startswith("rating:"))


def unique(tags: Iterable[str]) -> list[str]:
    """Each of them once, in their order."""
    return list(dict.fromkeys(tags))


def caption_line(caption: str | None) -> str:
    """A caption as one line, which is all that kohya's scripts of 2022 read; "" = there is none."""
    return _in_one_line(caption or "")


def tag_words(tags: Sequence[str]) -> list[str]:
    """Tags as they can stand between commas: each is one line, and its own commas are fullwidth ones.

    Every reader splits at commas. A fullwidth comma looks the same, and CLIP's tokenizers make it an ordinary one.
    """
    lines = (_in_one_line(tag).replace(",", "，") for tag in tags)
    return unique(line for line in lines if line)


def _in_one_line(text: str) -> str:
    if text.isprintable():
        return text.strip()
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip(_AROUND)
