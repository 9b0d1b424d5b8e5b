import csv
import json
import re
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.domain.schemas import IMAGE_METADATA, TAG_METADATA
from dataset_assets.domain.tag_query import (
    And,
    Meta,
    Not,
    Or,
    Query,
    Tag,
    TagQueryError,
    Wildcard,
    matches,
    matching,
    parse,
)
from dataset_assets.domain.tag_query_nodes import Node

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"
TAG_LIST = DATA / "danbooru_tags" / "danbooru.csv"
POSTS = DATA / "danbooru_posts_api" / "danbooru2021_export_form.derived.jsonl"


def tags(*names: str) -> tuple[Tag, ...]:
    return tuple(Tag(name) for name in names)


A, B, C, D = tags("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("text", "root"),
    [
        ("", And(())),
        ("  \t", And(())),
        ("1girl", Tag("1girl")),
        ("a b", And((A, B))),
        ("a\u3000b\n c", And((A, B, C))),
        ("a and b", And((A, B))),
        ("a or b", Or((A, B))),
        ("a OR b or c", Or((A, B, C))),
        ("a b or c d", Or((And((A, B)), And((C, D))))),
        ("a (b or c) d", And((A, Or((B, C)), D))),
        ("(a b) c", And((A, B, C))),
        ("-a b", And((Not(A), B))),
        ("- a", Not(A)),
        ("-(a b)", Not(And((A, B)))),
        ("-(-a)", Not(Not(A))),
        ("~a ~b c", And((Or((A, B)), C))),
        ("c ~a d ~b", And((C, Or((A, B)), D))),
        ("~a", A),
        ("~a and ~b", And((A, B))),
        ("~(a b) ~c", Or((And((A, B)), C))),
        ("( a )", A),
        ("oranges andes", And(tags("oranges", "andes"))),
        ("saber_(fate)", Tag("saber_(fate)")),
        ("(a or saber_(fate))", Or((A, Tag("saber_(fate)")))),
        ("((a or saber_(fate)) b)", And((Or((A, Tag("saber_(fate)"))), B))),
        ("(:))", Tag(":)")),
        ("(a or >:()", Or((A, Tag(">:(")))),
        ("(o)_(o)", Tag("(o)_(o)")),
        ("(a or (o)_(o))", Or((A, Tag("(o)_(o)")))),
        ("-(o)_(o)", Not(Tag("(o)_(o)"))),
        ("(6)", Tag("6")),
        (":d re:zero ^_^ \\(^o^)/", And(tags(":d", "re:zero", "^_^", "\\(^o^)/"))),
        ("1GIRL ÄÖ", And(tags("1girl", "äö"))),
        ("e\u0301", Tag("é")),
        ("初音ミク", Tag("初音ミク")),
        ("*_hair", Wildcard("*_hair")),
        ("(saber_(* )", Wildcard("saber_(*")),
        ("artist:foo", Tag("foo", "artist")),
        (
            "char:a copy:b gen:c meta:d",
            And((Tag("a", "character"), Tag("b", "copyright"), Tag("c", "general"), Tag("d", "meta"))),
        ),
        ("artist:f*", Wildcard("f*", "artist")),
        ('artist:"f*"', Tag("f*", "artist")),
        ('copy:"rouhou"_ore', Tag('"rouhou"_ore', "copyright")),
        ("unaliased:a*", Tag("a*")),
        ('unaliased:"foo) (bar"', Tag("foo)_(bar")),
        ("Rating:Q,E", Meta("rating", "q,e")),
        ("(rating:g or score:>1)", Or((Meta("rating", "g"), Meta("score", ">1")))),
        ("-pixiv_id:any", Not(Meta("pixiv", "any"))),
        ('source:"a b"', Meta("source", "a b")),
        ("source:'a b'", Meta("source", "a b")),
        (r'source:"a\"b\\c"', Meta("source", 'a"b\\c')),
        (r"source:a\ b", Meta("source", "a b")),
        ("(source:x_(y))", Meta("source", "x_(y)")),
        ('source:""', Meta("source", "none")),
        ('source:"None"', Meta("source", "None*")),
    ],
)
def test_query_is_read_as_danbooru_reads_it(text: str, root: Node) -> None:
    assert parse(text) == Query(root)


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("1girl (solo or", 6, "this parenthesis is never closed"),
        ("((a)", 0, "this parenthesis is never closed"),
        ("a)", 1, "this parenthesis closes nothing"),
        ("(a) )", 4, "this parenthesis closes nothing"),
        ("a* b*)", 5, "this parenthesis closes nothing"),
        (")", 0, "this parenthesis closes nothing"),
        ("foo(bar", 0, "the parentheses of a tag pair up"),
        ("artist:foo)", 7, "the parentheses of a tag pair up"),
        ("()", 1, "is missing here"),
        ("a or", 4, "is missing here"),
        ("or a", 0, "is missing here"),
        ("a or or b", 5, "is missing here"),
        ("a and or b", 6, "is missing here"),
        ("a -", 3, "follows '-'"),
        ("--a", 1, "follows '-'"),
        ("-~a", 1, "follows '-'"),
        ("~or b", 1, "follows '~'"),
        ("1girl, solo", 0, "separated by blanks"),
        ('"long hair"', 0, "write long_hair"),
        ("artist:", 7, "a tag follows the colon"),
        ("rating:", 7, "a value follows the colon"),
        ("rating:safee", 7, "did you mean 'safe'?"),
        ("rating:x", 7, "expected general, sensitive"),
        ("scores:>10", 0, "did you mean score:>10?"),
        ("score:many", 6, "expected a whole number"),
        ("score:1.5", 6, "expected a whole number"),
        ("score:>", 6, "expected a whole number"),
        ("score:,", 6, "expected a value"),
        ("id:1234567890123456", 3, "at most 15 digits"),
        ("id:٣", 3, "expected a whole number"),
        ("ratio:1:0", 6, "expected a ratio"),
        ("filesize:2pb", 9, "expected a size"),
        ("date:yesterday", 5, "expected a date"),
        ("date:2019-02-30", 5, "no date"),
        ("date:0000", 5, "no date"),
        ("date:9999", 5, "no date"),
        ("md5:abc", 4, "32 hexadecimal digits"),
        ("parent:abc", 7, "expected any, none or a number"),
        ("child:5", 6, "expected any or none"),
        ("pool:touhou", 5, "expected any, none or a number"),
        ("status:appealed", 7, "expected deleted"),
        ("is:sfww", 3, "did you mean 'sfw'?"),
        ("has:notes", 4, "expected parent"),
        ("filetype:.png", 9, "expected extensions"),
        ('source:"a b', 7, "this quote is never closed"),
        ('source:"a"b', 7, "this quote is never closed"),
        ("age:<2d", 0, "depends on the day"),
        ("solo order:score", 5, "orders or cuts"),
        ("limit:5", 0, "orders or cuts"),
        ("fav:me", 0, "who did what"),
        ("-approver:x", 1, "who did what"),
        ("commentary:any", 0, "not in the metadata"),
        ("notes:>1", 0, "not in the metadata"),
        ("active_comment_count:5", 0, "not in the metadata"),
        ("( " * 101 + "a", 200, "at most 100 deep"),
        ("a" * 10_001, 10_000, "at most 10,000 characters"),
    ],
)
def test_wrong_query_says_what_is_wrong_and_where(text: str, at: int, problem: str) -> None:
    with pytest.raises(TagQueryError, match=re.escape(problem)) as caught:
        parse(text)
    assert caught.value.position == at


def test_error_shows_the_query_and_a_caret_under_the_character() -> None:
    with pytest.raises(TagQueryError) as caught:
        parse("1girl (solo or")
    assert str(caught.value).splitlines()[1:] == [
        "  1girl (solo or",
        "        ^ this parenthesis is never closed",
    ]


def test_caret_stands_right_behind_japanese() -> None:
    with pytest.raises(TagQueryError) as caught:
        parse("初音 (a")
    assert str(caught.value).splitlines()[2].index("^") == 2 + 2 * 2 + 1


def test_error_shows_the_surroundings_of_a_long_query_and_no_control_characters() -> None:
    with pytest.raises(TagQueryError) as caught:
        parse("tag " * 500 + "\n\x1b[31m (" + " tag" * 500)
    assert "\x1b" not in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 200


def test_hint_is_a_query_that_finds_the_tag() -> None:
    for name in ("foo(bar", "a)b", '"long', "1girl,", "scores:>10"):
        with pytest.raises(TagQueryError) as caught:
            parse(name)
        assert parse(str(caught.value).rpartition(" is written ")[2]) == Query(Tag(name))


def test_tags_are_listed_once_in_order() -> None:
    query = parse("b (a or -b) rating:g artist:a a*")
    assert query.tags == (B, A, Tag("a", "artist"), Wildcard("a*"))
    assert query.metatags == (Meta("rating", "g"),)


# Text, and queries as they come out of the parser.

SOUP = st.lists(
    st.sampled_from(
        [
            *"ab()-~*:,\"'\\ ",
            " ",
            " ",
            "or ",
            "and ",
            "rating:g",
            "score:>",
            "artist:",
            "unaliased:",
            'source:"',
            "(",
            ")",
            *("saber_(fate)", ":)", ">:(", "(o)_(o)", "é", "İ", "ΑΣ", "漢", "\u3000", "1..5"),
        ]
    ),
    max_size=25,
).map("".join)
ODD_NAMES = ["a", "b_(c)", ":)", ">:(", "(o)_(o)", "(6)", "foo(", "a)b(", "or", "-x", "~", "a*b", "rating:g", "re:zero"]
ODD_NAMES += ['"x"', "'o'ne", '"', "x\\", "a,", "scores:>1", "unaliased:x", "artist:y", "漢字", "mocco)))"]
NAMES = st.sampled_from(ODD_NAMES) | st.text(string.ascii_lowercase + "()_:*-\"',\\", min_size=1, max_size=6)
CATEGORIES = st.none() | st.sampled_from(["artist", "character", "copyright", "general", "meta"])
WILDCARDS = st.sampled_from(["*", "a*", "*_(c)", "saber_(*", "*b*", "(a)*"])
METAS = st.sampled_from(
    ["rating:g", "score:>=1", 'source:"a b)"', "source:x_(y)", "date:2019-01..", "user:'o (o'"]
).map(lambda text: parse(text).root)
LEAVES = st.builds(Tag, NAMES, CATEGORIES) | st.builds(Wildcard, WILDCARDS, CATEGORIES) | METAS


def _flat(kind: type[And] | type[Or]) -> Callable[[list[Node]], Node]:
    return lambda terms: kind(tuple(t for term in terms for t in (term.terms if isinstance(term, kind) else (term,))))


QUERIES = st.recursive(
    LEAVES,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(_flat(And))
        | st.lists(inner, min_size=2, max_size=3).map(_flat(Or))
    ),
    max_leaves=8,
).map(Query)


@settings(max_examples=400, deadline=None)
@given(QUERIES)
def test_text_of_a_query_parses_to_the_same_query(query: Query) -> None:
    assert parse(str(query)) == query


@settings(max_examples=600, deadline=None)
@given(SOUP | st.text(max_size=40))
def test_any_text_is_a_query_or_a_tag_query_error(text: str) -> None:
    try:
        query = parse(text)
    except TagQueryError:
        return
    assert parse(str(query)) == query


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 10_000, ")" * 10_000, "-" * 10_000, '"' * 10_000, ":" * 10_000, "a(" * 5_000, "*a" * 5_000),
        *("~a " * 3_333, "id:" + "." * 9_000, 'artist:"' + '\\"' * 4_000, "(" * 99 + "a" + ")" * 9_000),
        "source:" + "\\" * 9_000,
    ],
)
def test_hostile_text_is_read_or_refused_at_once(text: str) -> None:
    started = time.monotonic()
    message = ""
    try:
        parse(text)
    except TagQueryError as error:
        message = str(error)
    assert len(message) < 1_000
    assert time.monotonic() - started < 2


# Answers.


def images(*rows: dict[str, object]) -> pl.LazyFrame:
    return IMAGE_METADATA.frame(
        [{"image_id": f"d-{n}-0", "post_id": str(n)} | row for n, row in enumerate(rows)]
    ).lazy()


def tag_rows(*rows: tuple[int, str] | tuple[int, str, str]) -> pl.LazyFrame:
    return TAG_METADATA.frame(
        [
            {"image_id": f"d-{row[0]}-0", "tag": row[1], "category": row[2] if len(row) > 2 else "general"}
            for row in rows
        ]
    ).lazy()


def found(text: str, rows: pl.LazyFrame, tagged: pl.LazyFrame | None = None) -> list[int]:
    frame = matching(parse(text), rows, TAG_METADATA.empty().lazy() if tagged is None else tagged).collect()
    return [int(name.split("-")[1]) for name in frame["image_id"]]


def test_tags_are_found_missing_ones_are_not() -> None:
    rows, tagged = images({}, {}, {}), tag_rows((0, "a"), (0, "b"), (1, "a"), (1, "saber_(fate)", "character"))
    assert found("a", rows, tagged) == [0, 1]
    assert found("a -b", rows, tagged) == [1]
    assert found("-a", rows, tagged) == [2]
    assert found("b or saber_(*", rows, tagged) == [0, 1]
    assert found("char:saber_(fate)", rows, tagged) == [1]
    assert found("artist:saber_(fate)", rows, tagged) == []
    assert found("char:*", rows, tagged) == [1]
    assert found("*", rows, tagged) == [0, 1]
    assert found("", rows, tagged) == [0, 1, 2]


def test_wildcard_takes_every_other_character_for_itself() -> None:
    rows, tagged = images({}, {}), tag_rows((0, "a.b+c^d$"), (1, "axb+c^d$"))
    assert found("a.b*", rows, tagged) == [0]
    assert found("*^d$", rows, tagged) == [0, 1]
    assert found("b+c*", rows, tagged) == []


def test_answer_keeps_order_and_further_columns() -> None:
    rows = images({}, {}, {}).reverse().with_columns(extra=pl.lit(1))
    answer = matching(parse("-x"), rows, TAG_METADATA.empty().lazy()).collect()
    assert answer.columns == [*IMAGE_METADATA.schema, "extra"]
    assert answer["image_id"].to_list() == ["d-2-0", "d-1-0", "d-0-0"]


def test_matches_answers_for_every_row() -> None:
    answer = matches(
        parse("a score:>1"), images({"score": 2}, {"score": 2}, {}), tag_rows((0, "a"), (2, "a"))
    ).collect()
    assert answer.to_dict(as_series=False) == {"image_id": ["d-0-0", "d-1-0", "d-2-0"], "matches": [True, False, False]}


def test_missing_value_fails_a_comparison_and_passes_its_negation() -> None:
    rows = images({"score": 11}, {"score": 10}, {"score": None})
    assert found("score:>10", rows) == [0]
    assert found("-score:>10", rows) == [1, 2]
    assert found("score:none", rows) == [2]
    assert found("-rating:g", rows) == [0, 1, 2]


SCORES = images(*({"score": score} for score in (-5, 0, 5, 7, 9, 10, 11)))


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("score:7", [7]),
        ("score:>7", [9, 10, 11]),
        ("score:>=7", [7, 9, 10, 11]),
        ("score:<0", [-5]),
        ("score:<=0", [-5, 0]),
        ("score:5..9", [5, 7, 9]),
        ("score:9..5", [5, 7, 9]),
        ("score:5...9", [5, 7]),
        ("score:10..", [10, 11]),
        ("score:..-5", [-5]),
        ("score:-5..0", [-5, 0]),
        ("score:5,7,9", [5, 7, 9]),
        ("score:any", [-5, 0, 5, 7, 9, 10, 11]),
    ],
)
def test_ranges(text: str, scores: list[int]) -> None:
    assert matching(parse(text), SCORES, TAG_METADATA.empty().lazy()).collect()["score"].to_list() == scores


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("id:1", [1]),
        ("id:..1", [0, 1]),
        ("upvotes:9", [1]),
        ("downvotes:3", [1]),
        ("downvotes:>=1", [0, 1]),
        ("favcount:>5", [1]),
        ("views:1000..", [1]),
        ("width:1920", [1]),
        ("height:<1080", [0]),
        ("mpixels:2", [1]),  # 2.07, within a twentieth
        ("mpixels:>2.07", [1]),
        ("mpixels:..0.5", [0]),
        ("ratio:16:9", [1]),
        ("ratio:1.78", [1]),
        ("ratio:16/9", [1]),
        ("ratio:<1", [0]),
        ("filesize:200kb", [0]),
        ("filesize:200000", [0]),
        ("filesize:200001b", []),
        ("filesize:>1mb", [1]),
        ("filesize:1mb..1.5mb", [1]),
        ("pixiv:777", [1]),
        ("pixiv:any", [1]),
        ("pixiv_id:none", [0, 2]),
        ("rating:g", [0]),
        ("rating:general", [0]),
        ("rating:q,e", [1]),
        ("rating:safe", [0]),
        ("is:sfw", [0]),
        ("is:nsfw", [1]),
        ("is:explicit", [1]),
        ("is:ai", [1]),
        ("-is:ai", [0, 2]),
        ("is:png", [1]),
        ("is:deleted", [1]),
        ("is:parent", [0]),
        ("is:child", [1]),
        ("filetype:jpg", [0]),
        ("filetype:jpeg,png", [0, 1]),
        ("md5:" + "A" * 32, [0]),
        ("parent:0", [0, 1]),
        ("parent:any", [1]),
        ("parent:none", [0, 2]),
        ("child:any", [0]),
        ("child:none", [1, 2]),
        ("status:deleted", [1]),
        ("status:banned", [1]),
        ("status:active", [0, 2]),
        ("status:any", [0, 1, 2]),
        ("status:modqueue", []),
        ("has:parent", [1]),
        ("has:children", [0]),
        ("has:source", [0, 1]),
        ("source:none", [2]),
        ("source:HTTP://x.org/", [0]),
        ("source:*/b", [1]),
        ("source:http*.org/a", [0]),
        ('source:"none"', []),
        ("pool:any", [1]),
        ("pool:12", [1]),
        ("pool:none", [0, 2]),
        ("user:someone", [0]),
        ("user:'Some One'", [1]),
        ("user:none", [2]),
        ("year:2019", [0]),
        ("year:2018..2019", [0]),
        ("date:2019-12-31", [0]),
        ("date:2019-12", [0]),
        ("date:2019", [0]),
        ("date:>2019", [1]),
        ("date:>=2019-12-31", [0, 1]),
        ("date:<2019-12-31", []),
        ("date:2018..2019", [0]),
        ("date:2019..2020-02-29", [0, 1]),
        ("tagcount:2", [0]),
        ("tagcount:0", [1, 2]),
        ("arttags:1", [0]),
        ("gentags:<1 a", []),
    ],
)
def test_metatags(text: str, wanted: list[int]) -> None:
    rows = images(
        {
            "down_score": -1, "width": 500, "height": 900, "file_size": 200_000, "rating": "general",
            "file_ext": "jpeg", "md5": "a" * 32, "has_children": True, "source_url": "http://x.org/a",
            "uploader_name": "Someone",
            "created_at": datetime(2019, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "is_ai_generated": False,
        },
        {
            "up_score": 9, "down_score": -3, "fav_count": 6, "view_count": 1000, "width": 1920, "height": 1080,
            "file_size": 1_048_577, "pixiv_id": "777", "rating": "explicit", "is_ai_generated": True, "file_ext": "png",
            "is_deleted": True, "is_banned": True, "parent_id": "0", "source_url": "book/b", "pools": ["7", "12"],
            "uploader_name": "Some One", "created_at": datetime(2020, 1, 1, tzinfo=UTC),
        },
        {},
    )  # fmt: skip
    assert found(text, rows, tag_rows((0, "a"), (0, "b", "artist"))) == wanted


def test_ratio_is_rounded_half_up_like_a_decimal() -> None:
    rows = images({"width": 201, "height": 200}, {"width": 1, "height": 0}, {"width": 1})
    assert found("ratio:1.01", rows) == [0]
    assert found("ratio:any", rows) == [0, 1]


def test_two_thousand_terms_are_answered() -> None:
    rows, tagged = images({}, {}), tag_rows((0, "t7"))
    assert found(" or ".join(f"t{n}" for n in range(1000)), rows, tagged) == [0]
    assert found(" ".join(f"-x{n}" for n in range(1000)), rows, tagged) == [0, 1]
    assert found("-(" * 99 + "a t7" + ")" * 99, rows, tagged) == [0, 1]


# Against the plainest evaluation that could be written.

Row = dict[str, Any]
NAIVE: dict[str, Callable[[Row], bool]] = {
    "score:>1": lambda row: row["score"] is not None and row["score"] > 1,
    "score:-1..2": lambda row: row["score"] is not None and -1 <= row["score"] <= 2,
    "score:0,3": lambda row: row["score"] in (0, 3),
    "rating:s,q": lambda row: row["rating"] in ("sensitive", "questionable"),
    "is:sfw": lambda row: row["rating"] in ("general", "sensitive"),
    "status:active": lambda row: not (row["is_deleted"] or row["is_pending"] or row["is_flagged"]),
    "ratio:>=1": lambda row: None not in (row["width"], row["height"]) and row["width"] / row["height"] >= 0.995,
    "pool:5": lambda row: row["pools"] is not None and "5" in row["pools"],
    "pool:none": lambda row: not row["pools"],
    "parent:1": lambda row: "1" in (row["post_id"], row["parent_id"]),
    "source:x*z": lambda row: bool(re.match("(?i)x.*z", row["source_url"] or "")),
    "has:source": lambda row: bool(row["source_url"]),
    "tagcount:>=2": lambda row: len(row["tags"]) >= 2,
    "chartags:1": lambda row: sum(category == "character" for _, category in row["tags"]) == 1,
}
TAGGED = st.dictionaries(
    st.sampled_from(["a", "b", "ab", "b_(c)", "a*b", ":)"]), st.sampled_from(["general", "artist", "character"])
).map(lambda found: list(found.items()))
ROW = st.fixed_dictionaries(
    {
        "score": st.none() | st.integers(-2, 4),
        "rating": st.none() | st.sampled_from(["general", "sensitive", "questionable", "explicit"]),
        "is_deleted": st.none() | st.booleans(),
        "is_pending": st.none() | st.booleans(),
        "is_flagged": st.none() | st.booleans(),
        "width": st.none() | st.integers(1, 300),
        "height": st.none() | st.integers(1, 300),
        "pools": st.none() | st.lists(st.sampled_from(["5", "6"]), max_size=2),
        "parent_id": st.none() | st.sampled_from(["0", "1"]),
        "source_url": st.none() | st.sampled_from(["", "xyz", "XZ", "yxz"]),
        "tags": TAGGED,
    }
)
ASKED = st.recursive(
    st.builds(Tag, st.sampled_from(["a", "b", "b_(c)", "a*b", ":)", "zz"]), st.none() | st.just("artist"))
    | st.builds(Wildcard, st.sampled_from(["a*", "*b", "*", "b_(*", "*a*b*"]), st.none() | st.just("character"))
    | st.sampled_from(sorted(NAIVE)).map(lambda text: parse(text).root),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(_flat(And))
        | st.lists(inner, min_size=2, max_size=3).map(_flat(Or))
    ),
    max_leaves=6,
)


def naive(node: Node, row: Row) -> bool:
    match node:
        case And(terms):
            return all(naive(term, row) for term in terms)
        case Or(terms):
            return any(naive(term, row) for term in terms)
        case Not(term):
            return not naive(term, row)
        case Tag(name, category):
            return any(tag == name and category in (None, of) for tag, of in row["tags"])
        case Wildcard(pattern, category):
            fits = re.compile(".*".join(re.escape(part) for part in pattern.split("*"))).fullmatch
            return any(fits(tag) is not None and category in (None, of) for tag, of in row["tags"])
    return NAIVE[str(node)](row)


@settings(max_examples=150, deadline=None)
@given(ASKED, st.lists(ROW, max_size=6))
def test_answer_is_that_of_a_plain_evaluation(root: Node, rows: list[Row]) -> None:
    rows = [row | {"post_id": str(number)} for number, row in enumerate(rows)]
    frame = images(*({name: value for name, value in row.items() if name != "tags"} for row in rows))
    tagged = tag_rows(*((number, *tag) for number, row in enumerate(rows) for tag in row["tags"]))
    assert matches(Query(root), frame, tagged).collect()["matches"].to_list() == [naive(root, row) for row in rows]


# Real data.


@pytest.mark.skipif(not TAG_LIST.exists(), reason="the list of Danbooru's tags is not here")
def test_every_real_tag_is_a_query_for_itself() -> None:
    with TAG_LIST.open(encoding="utf-8") as lines:
        names = [row[0] for row in csv.reader(lines)]
    odd = [name for name in names if re.search(r"[^a-z0-9_.'-]", name)]
    for name in odd[::5] + names[::500]:
        assert parse(name) == Query(Tag(name))
        assert str(Tag(name)) == name
        assert Tag(name) in parse(f"(x or {name})").tags
        assert parse(f"-{name} y").root == And((Not(Tag(name)), Tag("y")))
        assert parse(str(Tag(name, "artist"))).root == Tag(name, "artist")


@pytest.mark.skipif(not POSTS.exists(), reason="the posts of Danbooru's API are not here")
def test_real_posts_are_found_as_their_records_say() -> None:
    posts = [json.loads(line) for line in POSTS.read_text("utf-8").splitlines()]
    rows = images(*({"score": int(p["score"]), "rating": {"s": "general"}.get(p["rating"])} for p in posts))
    tagged = tag_rows(*((n, tag) for n, p in enumerate(posts) for tag in p["tag_string"].split()))
    query = "1girl -solo score:>=2 rating:g or *_(touhou)"
    wanted = [
        n
        for n, p in enumerate(posts)
        for names in [p["tag_string"].split()]
        if ("1girl" in names and "solo" not in names and int(p["score"]) >= 2 and p["rating"] == "s")
        or any(name.endswith("_(touhou)") for name in names)
    ]
    assert found(query, rows, tagged) == wanted
