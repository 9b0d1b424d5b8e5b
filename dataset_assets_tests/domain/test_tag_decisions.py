import json
from typing import Any

import polars as pl
import pytest

from dataset_assets.domain.schemas import TAG_METADATA
from dataset_assets.domain.tag_decisions import (
    TAG_DECISIONS,
    BadDecision,
    Decision,
    Overlay,
    exported,
    in_effect,
    parse,
    rows_of,
)


def decision(number: int, *, tag: str = "smile", is_there: bool | None = True, **changes: Any) -> Decision:
    fields = {"image_id": "d-1-0", "category": "general", "who": "ada", "decided_at": f"2026-01-01T00:00:{number:02}Z"}
    return Decision(**{"id": f"id{number}", "tag": tag, "is_there": is_there, **fields, **changes})


def states(*decisions: Decision) -> dict[str, str]:
    rows = rows_of([("f.jsonl", b"".join(one.line() for one in decisions))])
    return dict(rows.select("id", "state").iter_rows())


def test_a_decision_is_read_as_it_was_written() -> None:
    written = decision(1, why="微笑", score=0.5, model="m")

    assert parse(written.line()) == written


def test_the_latest_decision_about_an_image_and_tag_counts() -> None:
    found = states(decision(2, is_there=False), decision(1), decision(1, tag="hat", id="other"))

    assert found == {"id2": "counts", "id1": "superseded", "other": "counts"}


def test_a_decision_that_is_taken_back_lets_the_one_before_count() -> None:
    found = states(decision(1), decision(2, is_there=False), decision(3, is_there=None, undoes="id2"))

    assert found == {"id1": "counts", "id2": "undone", "id3": "superseded"}


def test_times_of_several_zones_are_compared_as_times() -> None:
    found = states(decision(1, decided_at="2026-01-01T10:00:00+09:00"), decision(2, decided_at="2026-01-01T02:00:00Z"))

    assert found == {"id1": "superseded", "id2": "counts"}


def test_the_order_of_files_does_not_matter() -> None:
    first, second = ("a.jsonl", decision(1).line()), ("b.jsonl", decision(2, is_there=False).line())
    order = ["image_id", "tag", "decided_at"]

    assert rows_of([first, second]).sort(order).equals(rows_of([second, first]).sort(order))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image_id": "../etc"}, "image"),
        ({"tag": ""}, "tag is no text"),
        ({"tag": "x" * 501}, "tag is no text"),
        ({"who": "a\x1b[31m"}, "who is no text"),
        ({"is_there": "yes"}, "is_there is neither"),
        ({"is_there": None}, "is_there is neither"),
        ({"decided_at": "yesterday"}, "decided_at is no time"),
        ({"decided_at": "2026-01-01T00:00:00"}, "no time zone"),
        ({"score": "high"}, "score is no number"),
        ({"score": True}, "score is no number"),
    ],
)
def test_a_line_that_is_no_decision_says_why(change: dict[str, Any], said: str) -> None:
    line = json.dumps(json.loads(decision(1).line()) | change).encode()

    with pytest.raises(BadDecision, match=said):
        parse(line)


@pytest.mark.parametrize("line", [b"{", b"[]", b"\xff", b"null", b"[" * 100_000])
def test_a_line_that_is_no_object_is_a_row_among_the_others(line: bytes) -> None:
    rows = rows_of([("f.jsonl", line + b"\n" + decision(1).line())])

    assert rows.schema == TAG_DECISIONS.schema
    assert rows.select("line", "state").rows() == [(1, "unreadable"), (2, "counts")]


def tags(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=TAG_METADATA.schema, orient="row")


def overlay(*decisions: Decision, ids: tuple[str, ...] = ("d-1-0",)) -> Overlay:
    rows = rows_of([("f.jsonl", b"".join(one.line() for one in decisions))])
    return Overlay.of(in_effect(rows.lazy()).collect(), pl.Series(ids))


def test_what_was_taken_out_is_gone_and_what_was_added_says_who_did() -> None:
    changes = overlay(decision(1), decision(2, tag="hat", is_there=False))
    before = tags(("hat", "d-1-0", "general", "source"), ("hat", "d-2-0", "general", "source"))
    after = tags(*before.rows(), ("smile", "d-1-0", "general", "source"))

    assert changes.marked(after).rows() == [
        ("hat", "d-2-0", "general", "source"),
        ("smile", "d-1-0", "general", "human"),
    ]


def test_a_tag_that_the_source_has_itself_stays_the_sources() -> None:
    own = tags(("smile", "d-1-0", "general", "source"))

    assert overlay(decision(1)).less_known(own).marked(own).equals(own)


def test_decisions_about_images_that_are_no_longer_listed_change_nothing() -> None:
    assert overlay(decision(1), ids=("d-2-0",)).added.is_empty()


def test_what_counts_is_exported_with_its_reason() -> None:
    rows = rows_of([("f", decision(1, why="seen").line() + decision(2, tag="hat", is_there=False).line())])

    assert [(one["tag"], one["is_there"], one["why"]) for one in exported(rows)] == [
        ("hat", False, None),
        ("smile", True, "seen"),
    ]
