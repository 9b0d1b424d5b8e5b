"""Requests as they are written, and what is no request."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_assets.domain.takedowns import (
    KINDS,
    BadTakedown,
    Hit,
    Takedown,
    blocked_by,
    found_line,
    lift_line,
    require_request,
    takedowns_in,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
SHA, PIXELS, MD5 = "a" * 64, "b" * 64, "c" * 32
HIT = Hit("danbooru-1-0", "image", 2005, SHA, MD5, PIXELS, 5, "/mirror/1.png")
REQUEST = Takedown("20260101-abc123", "image", "danbooru-1-0", "asked", "ada", AT.isoformat(), found=(HIT,))


def read(*lines: bytes) -> list[Takedown]:
    return takedowns_in([("takedowns/1.jsonl", b"".join(lines))])


def test_a_request_is_read_as_it_was_written() -> None:
    assert read(REQUEST.line()) == [REQUEST]


words = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=50)


@given(
    kind=st.sampled_from(["artist", "image"]),
    name=words,
    reason=words,
    who=words,
    ids=st.lists(st.from_regex(r"[a-z]{1,5}-[0-9]{1,9}-[0-9]", fullmatch=True), max_size=3),
)
def test_any_words_are_read_as_they_were_written(kind: str, name: str, reason: str, who: str, ids: list[str]) -> None:
    value = name if kind == "artist" else "danbooru-1-0"
    found = tuple(Hit(image_id, "artist", 2005, uploader_id=name) for image_id in dict.fromkeys(ids))
    one = Takedown("1", kind, value, reason, who, AT.isoformat(), found=found)  # type: ignore[arg-type]

    assert read(one.line()) == [one]
    assert b"\n" not in one.line()[:-1]


def test_what_is_found_later_counts_with_the_request() -> None:
    later = Hit("pixiv-7-0", "sha256", 2022, "d" * 64)
    (one,) = read(REQUEST.line(), found_line(REQUEST.id, [later], AT))

    assert one.image_ids == ("danbooru-1-0", "pixiv-7-0")
    assert one.hashes("sha256") == {SHA, "d" * 64}


def test_a_lifted_request_keeps_nothing_out() -> None:
    (one,) = read(REQUEST.line(), lift_line(REQUEST.id, "bob", "agreed", AT))

    assert one.is_lifted
    assert (one.lifted_by, one.lifted_why) == ("bob", "agreed")
    assert blocked_by([one]).file(SHA, MD5) is None


def test_a_file_is_kept_out_by_either_hash_and_the_earliest_request_is_named() -> None:
    second = Takedown("2", "sha256", SHA, "too", "bob", (AT + timedelta(days=1)).isoformat())
    blocked = blocked_by([REQUEST, second])

    assert blocked.file(SHA, "0" * 32) == "takedown 20260101-abc123: a file of this SHA-256 was taken down"
    assert blocked.file("0" * 64, MD5) == "takedown 20260101-abc123: a file of this MD5 was taken down"
    assert blocked.file("0" * 64, "0" * 32) is None
    assert blocked.pixel_hash == {PIXELS: REQUEST.id}


def test_requests_are_in_order_of_time_whatever_their_files() -> None:
    early = Takedown("z", "sha256", SHA, "asked", "ada", (AT - timedelta(days=1)).isoformat())

    assert [one.id for one in read(REQUEST.line(), early.line())] == ["z", REQUEST.id]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"[]\n",
        b"{}\n",
        b'{"line": "request"}\n',
        b'{"line": "other"}\n',
        b'{"line": "lift", "id": "nobody", "who": "x", "reason": "y", "at": "2026-01-01T00:00:00+00:00"}\n',
        REQUEST.line().replace(b"danbooru-1-0", b"../../etc/passwd"),
        REQUEST.line().replace(b"+00:00", b""),
        REQUEST.line().replace(SHA.encode(), b"1", 1).replace(b'"sha256"', b'"sha257"'),
        REQUEST.line()[:40] + b"\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_line_that_is_no_request_is_never_passed_over(line: bytes) -> None:
    with pytest.raises(BadTakedown, match=r"takedowns/1\.jsonl, line 1"):
        read(line)


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("image", "danbooru/1", "is not an image id"),
        ("image", "../1-2-0", "is not an image id"),
        ("image", "", "expected a line of 1 to 500 characters"),
        ("sha256", "abc", "expected 64 hex digits, found 3 characters"),
        ("sha256", "g" * 64, "expected 64 hex digits"),
        ("sha256", "a" * 63, "expected 64 hex digits, found 63"),
        ("pixel_hash", "a" * 32, "expected 64 hex digits"),
        ("artist", "   ", "expected a line"),
        ("artist", "a\nb", "expected a line"),
        ("artist", "a" * 501, "expected a line"),
        ("tag", "hat", "is none of image, sha256, pixel_hash, artist"),
    ],
)
def test_what_is_no_id_no_hash_and_no_name_is_refused_in_words(kind: str, value: str, said: str) -> None:
    with pytest.raises(BadTakedown, match=said):
        require_request(kind, value, None, {"reason": "asked", "who": "ada"})


def test_hashes_count_in_lower_case_and_quotes_in_a_name_are_letters() -> None:
    assert require_request("sha256", " " + "A" * 64, None, {}) == "a" * 64
    assert require_request("artist", 'O\'Brien "x"; --', None, {}) == 'O\'Brien "x"; --'
    assert set(KINDS) == {"image", "sha256", "pixel_hash", "artist"}


@pytest.mark.parametrize("replacement", ["ftp://x/y", "javascript:alert(1)", "http://", "danbooru/1", "https://a b"])
def test_a_replacement_is_an_address_or_an_image(replacement: str) -> None:
    with pytest.raises(BadTakedown, match="expected an http"):
        require_request("image", "danbooru-1-0", replacement, {})
    for good in ("https://example.org/new.png", "danbooru-2-0"):
        assert require_request("image", "danbooru-1-0", good, {}) == "danbooru-1-0"


def test_a_line_says_no_more_than_is_known() -> None:
    fields = json.loads(Takedown("1", "sha256", SHA, "asked", "ada", AT.isoformat()).line())

    assert "found" not in fields
    assert fields["source"] is None
