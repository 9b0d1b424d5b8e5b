"""Danbooru's search syntax, read as its own parser reads it.

Blanks mean and, which binds tighter than `or`; `-` excludes; `~a ~b` is the old way of `(a or b)`. A tag may hold
parentheses: one at its end closes a group only where those of the tag do not pair up. Where Danbooru finds nothing,
such as for an unclosed group, this raises.
Source: danbooru, app/logical/post_query/parser.rb.
"""

import re
import unicodedata

from dataset_assets.domain import tag_query_metatags as metatags
from dataset_assets.domain.excerpts import excerpt
from dataset_assets.domain.tag_query_nodes import (
    LITERAL,
    UNPAIRED,
    And,
    Meta,
    Node,
    Not,
    Or,
    Query,
    Tag,
    Wildcard,
    first_unopened,
    is_paired,
    misreading,
    reads_as_group,
    tag_name,
)

MAX_LENGTH = 10_000
MAX_DEPTH = 100


class TagQueryError(ValueError):
    """A query that cannot be read; the message shows it, with a caret where it goes wrong."""

    def __init__(self, query: str, position: int, problem: str) -> None:
        self.query, self.position, self.problem = query, position, problem
        super().__init__("cannot read the tag query\n" + excerpt(query, position, problem))


def parse(text: str) -> Query:
    """Read a query; blank text finds every image.

    Raises: TagQueryError when it is no query, or asks what the metadata cannot answer.
    """
    if len(text) > MAX_LENGTH:
        raise TagQueryError(text, MAX_LENGTH, f"a query has at most {MAX_LENGTH:,} characters, this one {len(text):,}")
    return Query(_Parser(unicodedata.normalize("NFC", text)).query())


class _Parser:
    """One query, and how far it has been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.open_groups: list[int] = []

    def query(self) -> Node:
        self.skip_blanks()
        if self.at_end():
            return And(())
        node = self.any_of()
        if not self.at_end():
            raise self.error(self.position, "this parenthesis closes nothing")
        return node

    def any_of(self) -> Node:
        terms = [self.all_of()]
        while self.accept_word("or"):
            terms.append(self.all_of())
        return _flat(Or, terms)

    def all_of(self) -> Node:
        terms = [self.factors()]
        while self.accept_word("and"):
            terms.append(self.factors())
        return _flat(And, terms)

    def factors(self) -> Node:
        """Terms side by side; those marked `~` are alternatives, and stand where the first of them does."""
        terms: list[Node] = []
        alternatives: list[Node] = []
        while not terms or self.at_factor():
            if self.accept("~"):
                alternatives.append(self.term("~"))
                if len(alternatives) == 1:
                    first = len(terms)
                    terms.append(alternatives[0])
            elif self.accept("-"):
                terms.append(Not(self.term("-")))
            else:
                terms.append(self.term(""))
        if alternatives:
            terms[first] = _flat(Or, alternatives)
        return _flat(And, terms)

    def at_factor(self) -> bool:
        return not self.at_end() and self.text[self.position] != ")" and not self.word_ahead("or", "and")

    def term(self, operator: str) -> Node:
        self.skip_blanks()
        if self.at_end() or self.text[self.position] in ")-~" or self.word_ahead("or", "and"):
            raise self.nothing_here(operator)
        if reads_as_group(self.text, self.position):
            return self.group()
        node = self.leaf()
        self.skip_blanks()
        return node

    def group(self) -> Node:
        if len(self.open_groups) == MAX_DEPTH:
            raise self.error(self.position, f"parentheses nest at most {MAX_DEPTH} deep")
        self.open_groups.append(self.position)
        self.position += 1
        self.skip_blanks()
        node = self.any_of()
        if not self.accept(")"):
            raise self.error(self.open_groups[-1], "this parenthesis is never closed")
        self.open_groups.pop()
        self.skip_blanks()
        return node

    def leaf(self) -> Node:
        start = self.position
        if found := re.compile(r"([a-zA-Z0-9_]+):").match(self.text, start):
            prefix = found[1].lower()
            if prefix == LITERAL or prefix in metatags.CATEGORIES:
                self.position = found.end()
                return self.named_tag(metatags.CATEGORIES.get(prefix))
            if metatags.is_metatag(prefix):
                self.position = found.end()
                return self.metatag(start, prefix)
        return self.tag()

    def tag(self) -> Node:
        start, text = self.position, self.word(r"\S+")
        if "*" in text:
            return self.wildcard(start, text, None)
        if (unopened := first_unopened(text)) is not None and text not in UNPAIRED:
            raise self.error(start + unopened, "this parenthesis closes nothing" + _escape_hint(text))
        if problem := misreading(tag_name(text)):
            raise self.error(start, problem + _escape_hint(text))
        return Tag(tag_name(text))

    def named_tag(self, category: str | None) -> Node:
        """What follows `artist:` or `unaliased:`; in quotes, or after the latter, `*` is but a character."""
        start = self.position
        quoted = self.quoted()
        text = self.word(r"\S+") if quoted is None else quoted
        if not text:
            raise self.error(start, "a tag follows the colon")
        if "*" in text and quoted is None and category:
            return self.wildcard(start, text, category)
        if quoted is None and not is_paired(text) and text not in UNPAIRED:
            raise self.error(start, "the parentheses of a tag pair up" + _escape_hint(text, category))
        return Tag(tag_name(text), category)

    def wildcard(self, start: int, text: str, category: str | None) -> Wildcard:
        if (unopened := first_unopened(text)) is not None:
            raise self.error(start + unopened, "this parenthesis closes nothing")
        return Wildcard(tag_name(text), category)

    def metatag(self, start: int, name: str) -> Meta:
        if reason := metatags.refusal(name):
            raise self.error(start, f"{name}: {reason}")
        value_start = self.position
        quoted = self.quoted()
        if quoted is None and self.text[value_start : value_start + 1] in ('"', "'"):
            raise self.error(value_start, "this quote is never closed, or no blank follows where it is")
        value = re.sub(r"\\(\s)", r"\1", self.word(r"(?:\\\s|\S)+")) if quoted is None else quoted
        if not value and not (name == "source" and quoted is not None):
            raise self.error(value_start, "a value follows the colon")
        meta = Meta(*metatags.canonical(name, value, quoted is not None))
        try:
            metatags.condition(meta.name, meta.value)
        except metatags.BadMetatag as problem:
            raise self.error(value_start, str(problem)) from None
        return meta

    def quoted(self) -> str | None:
        """The text in quotes that begins here and that a blank, a parenthesis or the end follows; null = none does."""
        found = re.compile(r"\"((?:[^\"\\]|\\.)*)\"(?=[\s)]|\Z)|'((?:[^'\\]|\\.)*)'(?=[\s)]|\Z)", re.DOTALL).match(
            self.text, self.position
        )
        if not found:
            return None
        self.position = found.end()
        return re.sub(r"\\(.)", r"\1", found[1] if found[1] is not None else found[2], flags=re.DOTALL)

    def word(self, pattern: str) -> str:
        """The text up to the next blank, less the parentheses at its end that close groups."""
        found = re.compile(pattern).match(self.text, self.position)
        text = found[0] if found else ""
        for _ in self.open_groups:
            keeps_its_end = not text.endswith(")") or is_paired(text) or text in UNPAIRED
            if keeps_its_end and text[:-1] not in UNPAIRED:
                break
            text = text[:-1]
        self.position += len(text)
        return text

    def nothing_here(self, operator: str) -> TagQueryError:
        """What to say where a term should stand and does not."""
        if self.at_end() and self.open_groups:
            return self.error(self.open_groups[-1], "this parenthesis is never closed")
        if not self.at_end() and self.text[self.position] == ")" and not self.open_groups:
            return self.error(self.position, "this parenthesis closes nothing")
        what = (
            f"a tag, metatag or group follows {operator!r}" if operator else "a tag, metatag or group is missing here"
        )
        return self.error(self.position, what)

    def at_end(self) -> bool:
        return self.position >= len(self.text)

    def skip_blanks(self) -> None:
        while not self.at_end() and self.text[self.position].isspace():
            self.position += 1

    def accept(self, character: str) -> bool:
        found = self.text.startswith(character, self.position)
        self.position += len(character) if found else 0
        return found

    def word_ahead(self, *words: str) -> bool:
        return bool(re.compile(rf"(?:{'|'.join(words)})(?=[\s)]|$)", re.IGNORECASE).match(self.text, self.position))

    def accept_word(self, word: str) -> bool:
        if not self.word_ahead(word):
            return False
        self.position += len(word)
        self.skip_blanks()
        return True

    def error(self, position: int, problem: str) -> TagQueryError:
        return TagQueryError(self.text, position, problem)


def _flat(kind: type[And] | type[Or], terms: list[Node]) -> Node:
    """The terms as one node, those of a nested node of the same kind among them."""
    flat: list[Node] = []
    for term in terms:
        flat += term.terms if isinstance(term, kind) else (term,)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def _escape_hint(text: str, category: str | None = None) -> str:
    return f"; a tag that is really named so is written {Tag(tag_name(text), category)}"
