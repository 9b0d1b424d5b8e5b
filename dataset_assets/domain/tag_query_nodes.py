"""What a tag query is made of, and how it is written."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from dataset_assets.domain import tag_query_metatags as metatags

# Danbooru's only tags whose parentheses do not pair up.
UNPAIRED = frozenset({":)", ":(", ";)", ";(", ">:)", ">:("})
# Danbooru's metatag for a tag by its very name; its quotes are the escape for names that would read as syntax.
LITERAL = "unaliased"


@dataclass(frozen=True)
class Tag:
    """Images with this tag, of this category if one is given."""

    name: str
    category: str | None = None

    def __str__(self) -> str:
        is_plain = misreading(self.name) is None
        if self.category is None:
            return self.name if is_plain else f"{LITERAL}:{_quoted(self.name)}"
        return f"{self.category}:{self.name if is_plain and self.name[0] not in QUOTES else _quoted(self.name)}"


@dataclass(frozen=True)
class Wildcard:
    """Images with a tag that fits the pattern, in which `*` stands for any text."""

    pattern: str
    category: str | None = None

    def __str__(self) -> str:
        return f"{self.category}:{self.pattern}" if self.category else self.pattern


@dataclass(frozen=True)
class Meta:
    """Images of which the metatag is true."""

    name: str
    value: str

    def __str__(self) -> str:
        is_plain = re.fullmatch(r"[^\s\"'\\()]+", self.value)
        return f"{self.name}:{self.value if is_plain else _quoted(self.value)}"


@dataclass(frozen=True)
class Not:
    """Images that the term does not find."""

    term: "Node"

    def __str__(self) -> str:
        return f"-{_grouped(self.term) if isinstance(self.term, Not) else _operand(self.term)}"


@dataclass(frozen=True)
class And:
    """Images that every term finds; without terms, all images."""

    terms: tuple["Node", ...]

    def __str__(self) -> str:
        return " ".join(_operand(term) for term in self.terms)


@dataclass(frozen=True)
class Or:
    """Images that any term finds."""

    terms: tuple["Node", ...]

    def __str__(self) -> str:
        return " or ".join(_operand(term) for term in self.terms)


Leaf = Tag | Wildcard | Meta
Node = And | Or | Not | Leaf
QUOTES = "\"'"


@dataclass(frozen=True)
class Query:
    """A parsed query; its text parses to the same query again."""

    root: Node

    def __str__(self) -> str:
        return str(self.root)

    @property
    def tags(self) -> tuple[Tag | Wildcard, ...]:
        """The tag terms, each once, in the order in which they stand."""
        return tuple(dict.fromkeys(leaf for leaf in leaves(self.root) if isinstance(leaf, Tag | Wildcard)))

    @property
    def metatags(self) -> tuple[Meta, ...]:
        """The metatags, each once, in the order in which they stand."""
        return tuple(dict.fromkeys(leaf for leaf in leaves(self.root) if isinstance(leaf, Meta)))


def leaves(node: Node) -> Iterator[Leaf]:
    """The terms that hold no others, from left to right."""
    match node:
        case And(terms) | Or(terms):
            for term in terms:
                yield from leaves(term)
        case Not(term):
            yield from leaves(term)
        case _:
            yield node


def tag_name(text: str) -> str:
    """A tag as tables spell it: lower case, NFC, `_` for blanks."""
    return re.sub(r"\s+", "_", unicodedata.normalize("NFC", text.lower()))


def misreading(name: str) -> str | None:
    """Why a name, written without quotes, would not be read as this tag; null = it would be."""
    if not name or name in ("or", "and") or name[0] in "-~)" or reads_as_group(name) or re.search(r"[*\s]", name):
        return "reads as syntax"
    prefix, colon, value = name.partition(":")
    if colon and (prefix in metatags.CATEGORIES or prefix == LITERAL or metatags.is_metatag(prefix)):
        return "reads as a metatag"
    if colon and re.fullmatch(r"[a-z_]+", prefix) and re.match(r"[<>]=?-?[0-9]|-?[0-9]+\.\.", value):
        close = metatags.closest(prefix)
        return f"{prefix} is no metatag" + (f"; did you mean {close}:{value}?" if close else "")
    if not (is_paired(name) or name in UNPAIRED):
        return "the parentheses of a tag pair up"
    if name.endswith(","):
        return "tags are separated by blanks, without commas"
    if name[0] == '"' and name.count('"') == 1:
        return "tags hold no blanks and take no quotes; write long_hair"
    return None


def reads_as_group(text: str, start: int = 0) -> bool:
    """Whether a group begins here, and not a tag such as `(o)_(o)`, of which more follows the closing parenthesis."""
    if not text.startswith("(", start):
        return False
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if text[position].isspace() or text[position] in QUOTES:
            return True
        if not depth:
            return not text[position + 1 : position + 2].strip().strip("()")
    return True


def is_paired(text: str) -> bool:
    """Whether the parentheses pair up."""
    return first_unopened(text) is None and text.count("(") == text.count(")")


def first_unopened(text: str) -> int | None:
    """Where a parenthesis closes that was not opened; null = nowhere."""
    depth = 0
    for position, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return position
    return None


def _operand(node: Node) -> str:
    return _grouped(node) if isinstance(node, And | Or) else str(node)


def _grouped(node: Node) -> str:
    """A term in parentheses, with a blank where a tag such as `saber_(*` would take the last one for its own."""
    *_, last = map(str, leaves(node))
    would_take_it = last.count("(") > last.count(")") or f"{last})".endswith(tuple(UNPAIRED))
    return f"({node} )" if would_take_it else f"({node})"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
