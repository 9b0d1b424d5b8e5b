import json
from html.parser import HTMLParser

from dataset_assets.domain.release_diff import release_diff
from dataset_assets.domain.release_diff_page import diff_page
from dataset_assets.domain.release_diff_text import headline, leaks, record, report, summary
from dataset_assets_tests.releases import member, members

HOSTILE = "<script>alert(1)</script>\x1b[31m|`\u202e[x](javascript:alert(2))"
BEFORE = members(member(1, split="train"), member(2), member(3))
AFTER = members(
    member(1, split="test"),
    member(3, tags=[f"general:{HOSTILE}", "general:1girl"], page_url="javascript:alert(3)", rating=HOSTILE),
    member(4, artist=[HOSTILE], license=HOSTILE),
)
DIFF = release_diff(BEFORE, AFTER)


def test_headline_is_what_the_page_of_danbooru2018_prints() -> None:
    added = members(member(1), member(2, tags=["general:new", "general:1girl"], size=413_000_000_000))

    assert headline(release_diff(members(member(1)), added)) == "+1 image, +413 GB, +2 tags, +1 new tag"
    assert headline(release_diff(added, members(member(1)))) == "-1 image, -413 GB, -2 tags, +0 new tags"


def test_summary_tells_each_change() -> None:
    assert summary(DIFF).startswith("1 added, 1 removed, ")
    assert summary(release_diff(BEFORE, BEFORE)) == "no image differs"


def test_a_move_from_train_to_test_is_a_warning() -> None:
    assert leaks(DIFF) == ["1 image moved from train to test"]
    assert "Splits are not kept apart" in diff_page(DIFF, "a", "b")
    assert any(line.startswith("WARNING") for line in report(DIFF, "a", "b"))
    assert "WARNING" not in "\n".join(report(release_diff(BEFORE, BEFORE), "a", "b"))


def test_the_report_cannot_steer_a_terminal() -> None:
    lines = report(DIFF, HOSTILE, "b", [HOSTILE])

    assert all(line.isprintable() for line in lines)


def test_the_record_is_json_and_has_all_tables() -> None:
    told = json.loads(json.dumps(record(DIFF, "a", "b")))

    assert told["headline"] == headline(DIFF)
    assert {"change": "added", "images": 1} in told["changes"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_runs_and_fetches_nothing() -> None:
    page = diff_page(DIFF, HOSTILE, "b", [HOSTILE])
    parser = Tags()
    parser.feed(page)

    assert not {tag for tag, _ in parser.seen} & {"script", "link", "iframe", "img", "object", "base", "form"}
    links = [attributes["href"] or "" for tag, attributes in parser.seen if tag == "a"]
    assert links
    assert all(link.startswith("https://example.org/") for link in links)
    assert not any(name.startswith("on") for _, attributes in parser.seen for name in attributes)
    assert "default-src 'none'" in page
