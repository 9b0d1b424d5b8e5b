"""A subset's `where`: a condition in SQL over the public columns, in which nothing else can run.

Three fences: only listed words, functions and symbols are let through; what passes is read by `pl.sql_expr`, which
knows no tables, files or statements; and the expression is tried on a few rows, one of them hostile, so that what would
fail for some image fails now.
"""

import difflib
import itertools
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from dataset_assets.domain.excerpts import excerpt
from dataset_assets.domain.pattern_size import like_positions, regex_positions
from dataset_assets.domain.selection_columns import PUBLIC_COLUMNS

MAX_LENGTH = 10_000
# The engine's time grows with the cube of a chain's length: half a second for 400 operators, a minute for 2,000.
MAX_OPERATORS = 200
MAX_DEPTH = 30
# Of all patterns together. A text of 1,000 characters takes the worst of them some 0.05 s, and others microseconds.
MAX_POSITIONS = 500

# Each is decided row by row, gives a bounded result and fails for no value.
FUNCTIONS = frozenset(
    """abs array_contains array_length ceil coalesce day ends_with floor greatest least length lower mod month nullif
    round sign sqrt starts_with upper year""".split()  # noqa: SIM905 - a list of words is read as one
)
_OPERATOR_WORDS = frozenset(("and", "or", "not", "in", "between", "like", "ilike", "rlike", "regexp", "is", "case"))
_WORDS = _OPERATOR_WORDS | {"null", "true", "false", "when", "then", "else", "end", "distinct", "from", "any", "date"}
# A pattern from a column would be one that an uploader wrote.
_TAKES_TEXT = {
    "date": "a day such as '2019-03-01'",
    **dict.fromkeys(("like", "ilike", "rlike", "regexp", "~", "~*", "!~", "!~*"), "a pattern"),
}
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')
    | (?P<name>"[^"]*")
    | (?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<comment>--|/\*)
    | (?P<symbol><=>|<=|>=|<>|!=|==|!~\*|!~|~\*|~|[=<>+\-*/%(),])""",
    re.VERBOSE,
)
_MEANINGLESS = {
    "'": "this quote is never closed",
    '"': "this quote is never closed",
    ".": "a column stands by its name alone, without a table's",
    ";": "there is one condition, not several statements",
}


class WhereError(ValueError):
    """A condition that is refused; the message shows it, with a caret where it goes wrong."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        super().__init__("cannot use the condition\n" + excerpt(text, position, problem))


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def where_expression(text: str) -> pl.Expr:
    """The condition as an expression over `candidates`; null where it is undecided.

    Raises: WhereError when it names anything but public columns and listed functions, or is not true or false.
    """
    if len(text) > MAX_LENGTH:
        raise WhereError(text, MAX_LENGTH, f"a condition has at most {MAX_LENGTH:,} characters, this one {len(text):,}")
    tokens = list(_tokens(text))
    if not tokens:
        raise WhereError(text, 0, "the condition is empty; leave the key out to keep every image")
    _require_small(text, tokens)
    _require_quick_patterns(text, tokens)
    for number, token in enumerate(tokens):
        if problem := _problem(token, tokens[number + 1 : number + 3]) or _problem_of_null(token, tokens[:number]):
            raise WhereError(text, token.position, problem)
    try:
        expression = pl.sql_expr(text)
        tried = _PROBE.select(expression)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise WhereError(text, 0, _explain(str(error))) from None
    _require_condition(text, expression, tried)
    return expression


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif found := _TOKEN.match(text, position):
            yield _Token(found.lastgroup or "", found[0], position)
            position = found.end()
        else:
            raise WhereError(text, position, _MEANINGLESS.get(text[position], "this character has no meaning here"))


def _require_small(text: str, tokens: Sequence[_Token]) -> None:
    depth = operators = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        operators += (token.kind == "symbol" and token.text not in "(),") or token.text.lower() in _OPERATOR_WORDS
        if depth > MAX_DEPTH:
            raise WhereError(text, token.position, f"parentheses nest at most {MAX_DEPTH} deep")
        if operators > MAX_OPERATORS:
            raise WhereError(
                text, token.position, f"a condition has at most {MAX_OPERATORS} operators; `in` lists values"
            )


def _require_quick_patterns(text: str, tokens: Sequence[_Token]) -> None:
    positions = 0
    for word, pattern in itertools.pairwise(tokens):
        if word.text.lower() in _TAKES_TEXT and word.text.lower() != "date" and pattern.kind == "text":
            is_like = word.text.lower() in ("like", "ilike")
            positions += (like_positions if is_like else regex_positions)(pattern.text[1:-1].replace("''", "'"))
        if positions > MAX_POSITIONS:
            raise WhereError(
                text,
                pattern.position,
                f"patterns have at most {MAX_POSITIONS} characters together, repetitions such as {{1,50}} written out; "
                f"these have {positions:,}",
            )


def _problem(token: _Token, following: Sequence[_Token]) -> str | None:
    """Why a token is refused; null = it is not."""
    if token.kind == "comment":
        return "comments are not used here; for a minus before a minus, put a blank between them"
    if token.kind == "name" and token.text[1:-1] not in PUBLIC_COLUMNS:
        return f"there is no column {token.text}{_suggest(token.text[1:-1])}; text stands in single quotes"
    if token.text.lower() in _TAKES_TEXT and not (following and following[0].kind == "text"):
        return f"{_TAKES_TEXT[token.text.lower()]} in single quotes follows {token.text}"
    return _problem_of_word(token.text, following) if token.kind == "word" else None


def _problem_of_word(word: str, following: Sequence[_Token]) -> str | None:
    next_words = [token.text.lower() for token in following]
    if word.lower() == "is" and [name for name in next_words if name != "not"][:1] in (["true"], ["false"]):
        return "the engine has null for null here, where SQL has false; write coalesce(column, false)"
    if word.lower() in _WORDS or word in PUBLIC_COLUMNS:
        return None
    if next_words[:1] == ["("]:
        is_function = word.lower() in FUNCTIONS
        return None if is_function else f"there is no function {word!r} here; there are {', '.join(sorted(FUNCTIONS))}"
    return f"there is no column {word!r}{_suggest(word)}"


def _problem_of_null(token: _Token, before: Sequence[_Token]) -> str | None:
    """`= null` is never true, and a bare null as a value has no type to check functions with."""
    words = [word.text.lower() for word in before[-2:] if word.text.lower() != "not"]
    if token.text.lower() != "null" or words[-1:] in (["is"], ["from"]):
        return None
    return "null is asked for as `is null` or `is not null`"


def _suggest(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), list(PUBLIC_COLUMNS), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _explain(error: str) -> str:
    """The engine's words on one line, and ours where they do not help."""
    if "cannot compare 'date/datetime/time' to a string" in error:
        return "a time is compared with a day, such as created_at >= date '2019-03-01'"
    return " ".join(error.partition("This error occurred")[0].partition("Resolved plan")[0].split())


def _require_condition(text: str, expression: pl.Expr, tried: pl.DataFrame) -> None:
    if foreign := sorted(set(expression.meta.root_names()) - set(PUBLIC_COLUMNS)):
        raise WhereError(text, 0, f"there is no column {foreign[0]!r}")
    found = tried.dtypes[0]
    if tried.width != 1 or found != pl.Boolean or tried.height not in (1, _PROBE.height):
        raise WhereError(text, 0, f"a condition is true or false for each image; this gives {found}")


def _sample(dtype: pl.DataType, number: int, text: str) -> object:
    if dtype == pl.Boolean:
        return bool(number)
    if dtype == pl.String:
        return text
    if isinstance(dtype, pl.Datetime):
        return datetime(2019, 1, 1, tzinfo=UTC)
    if isinstance(dtype, pl.List):
        return [text]
    return number


# An image of which nothing is known, an ordinary one, and one whose text would break a pattern made of it.
_PROBE = pl.DataFrame(
    {
        name: [None, _sample(dtype, 512, "general"), _sample(dtype, 0, "(*[\\")]
        for name, dtype in PUBLIC_COLUMNS.items()
    },
    schema=PUBLIC_COLUMNS,
)


def conjuncts(text: str) -> list[str]:
    """The conditions of an accepted condition that all have to be true, as they are written, from left to right."""
    tokens, joints, depth, betweens = list(_tokens(text)), [], 0, 0
    words = [token.text.lower() for token in tokens]
    for token, word in zip(tokens, words, strict=True):
        depth += {"(": 1, "case": 1, ")": -1, "end": -1}.get(word, 0)
        if depth:
            continue
        betweens += word == "between"
        if word == "or":
            return [text.strip()]
        if word == "and" and betweens:
            betweens -= 1  # the one between two bounds
        elif word == "and":
            joints.append(token.position)
    starts, ends = [0, *(position + len("and") for position in joints)], [*joints, len(text)]
    parts = [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]
    return parts if len(parts) > 1 else _within_parentheses(parts[0])


def _within_parentheses(text: str) -> list[str]:
    """The same of a condition that stands in parentheses as a whole."""
    depth, tokens = 0, list(_tokens(text))
    for token in tokens[:-1]:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if not depth:
            return [text]
    return conjuncts(text[1:-1]) if len(tokens) > 2 and tokens[0].text == "(" else [text]
