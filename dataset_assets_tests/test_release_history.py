import json
import re
import xml.etree.ElementTree as ElementTree
from datetime import datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dataset_assets.cli_release_report import register
from dataset_assets.config import ConfigError
from dataset_assets.release_history import UnknownRelease, compare, find, released, write_feed
from dataset_assets.storage.root import opened
from dataset_assets_tests.buckets import credentials, place
from dataset_assets_tests.releases import member, members, write_by_hand
from dataset_assets_tests.s3_server import make_bucket, s3_server

__all__ = ["credentials"]
ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "</title><script>alert(1)</script>]]>\x00\x1b &amp; \ud7ff"
BEFORE, AFTER = members(member(1), member(2)), members(member(2), member(3), member(4, tags=["general:new"]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_by_hand(tmp_path, "girls-2020", BEFORE, "2021-01-30T12:00:00+00:00")
    write_by_hand(tmp_path, "girls-2021", AFTER, "2022-01-21T12:00:00+09:00", title=HOSTILE, description=HOSTILE)
    return tmp_path


def entries(root: Path) -> list[ElementTree.Element]:
    return ElementTree.parse(root / "releases" / "feed.xml").getroot().findall(f"{ATOM}entry")


def texts(element: ElementTree.Element, name: str) -> list[str]:
    return [found.text or "" for found in element.findall(f"{ATOM}{name}")]


def test_releases_are_found_by_name_and_by_folder(root: Path) -> None:
    assert find("girls-2020", root).name == "girls-2020"
    assert find(str(root / "releases" / "girls-2021"), None).name == "girls-2021"
    assert find(str(root / "releases" / "girls-2021" / "manifest.json"), None).name == "girls-2021"
    assert [release.name for release in released(root)] == ["girls-2020", "girls-2021"]


def test_an_unknown_release_is_told_with_those_that_there_are(root: Path) -> None:
    with pytest.raises(UnknownRelease, match="girls-2020, girls-2021"):
        find("girls-2019", root)
    with pytest.raises(UnknownRelease, match="no finished release"):
        find(str(root), None)
    with pytest.raises(UnknownRelease, match="no finished release"):
        find(str(root / "nowhere"), None)
    assert not (root / "nowhere").exists()


def test_releases_are_compared_by_what_they_pin(root: Path) -> None:
    found = compare(find("girls-2020", root), find("girls-2021", root))

    assert (found.count("added"), found.count("removed"), found.count("unchanged")) == (2, 1, 1)


def test_the_feed_has_what_the_standard_demands(root: Path) -> None:
    assert write_feed(root, print) == ["releases/feed.xml", "releases/CHANGELOG.md"]
    feed = ElementTree.parse(root / "releases" / "feed.xml").getroot()

    assert feed.tag == f"{ATOM}feed"
    for element in (feed, *entries(root)):  # RFC 4287, 4.1.1 and 4.1.2
        for name in ("id", "title", "updated"):
            assert len(texts(element, name)) == 1
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", texts(element, "id")[0])
        assert datetime.fromisoformat(texts(element, "updated")[0]).tzinfo is not None
    assert feed.find(f"{ATOM}author/{ATOM}name") is not None
    assert len({texts(element, "id")[0] for element in (feed, *entries(root))}) == 3


def test_the_newest_release_stands_first_with_what_changed_since_the_one_before(root: Path) -> None:
    write_feed(root, print)
    newest, oldest = entries(root)

    assert texts(newest, "updated") == ["2022-01-21T03:00:00Z"]
    assert texts(newest, "summary") == ["+1 image, +1.006 kB, +1 tag, +1 new tag"]
    assert "Since girls-2020" in texts(newest, "content")[0]
    assert texts(oldest, "title") == ["girls-2020"]
    assert "Since" not in texts(oldest, "content")[0]


def test_hostile_words_stay_words(root: Path) -> None:
    write_feed(root, print)
    content = texts(entries(root)[0], "content")[0]
    changelog = (root / "releases" / "CHANGELOG.md").read_text("utf-8")

    assert "<script>" not in content
    assert "<script>" not in changelog
    assert "\x1b" not in changelog
    assert "&amp;amp;" in content


def test_ids_stay_when_releases_are_added(root: Path) -> None:
    write_feed(root, print)
    before = (root / "releases" / "feed.xml").read_text("utf-8")
    write_by_hand(root, "girls-2022", BEFORE, "2023-01-01T00:00:00+00:00")
    write_feed(root, print)
    ids = [re.findall("<id>(.*)</id>", text) for text in (before, (root / "releases" / "feed.xml").read_text("utf-8"))]

    assert ids[0][0] == ids[1][0]
    assert ids[0][1:] == ids[1][2:]


def test_the_feed_is_the_same_when_it_is_written_again(root: Path) -> None:
    write_feed(root, print)
    first = [(root / "releases" / name).read_bytes() for name in ("feed.xml", "CHANGELOG.md")]
    (root / "releases" / "girls-2020" / "members.parquet").unlink()  # comparisons are kept
    write_feed(root, print)

    assert [(root / "releases" / name).read_bytes() for name in ("feed.xml", "CHANGELOG.md")] == first


def test_links_are_below_the_address_that_is_given(root: Path) -> None:
    write_feed(root, print, "https://example.org/releases/")
    feed = ElementTree.parse(root / "releases" / "feed.xml").getroot()

    assert [link.attrib["href"] for link in feed.iter(f"{ATOM}link")] == [
        "https://example.org/releases/feed.xml",
        "https://example.org/releases/girls-2021/",
        "https://example.org/releases/girls-2020/",
    ]


def test_a_release_without_a_time_is_in_no_feed_and_told(tmp_path: Path) -> None:
    write_by_hand(tmp_path, "girls-2020", BEFORE, None)
    said: list[str] = []

    assert write_feed(tmp_path, said.append) == []
    assert "girls-2020" in said[0]
    assert not (tmp_path / "releases" / "feed.xml").exists()


def test_a_withdrawn_release_says_why(root: Path) -> None:
    (root / "releases" / "girls-2020" / "withdrawn.json").write_text(json.dumps({"reason": "<b>asked</b>"}), "utf-8")
    write_feed(root, print)

    assert "Withdrawn: &lt;b&gt;asked" in texts(entries(root)[1], "content")[0]


def test_releases_in_a_bucket_are_compared_and_listed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with s3_server() as port:
        make_bucket(port, "history")
        there = place(port, tmp_path_factory.mktemp("cache"), "history", "root")
        for file in (root / "releases").rglob("*.*"):
            opened(there).put(file.relative_to(root).as_posix(), file.read_bytes())
        write_feed(there, print)
        found = compare(find("girls-2020", there), find("girls-2021", there))
        feed = opened(there).get("releases/feed.xml")
    write_feed(root, print)

    assert found.count("added") == 2
    assert feed == (root / "releases" / "feed.xml").read_bytes()


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def test_diff_prints_tables_and_writes_a_page(app: typer.Typer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(root / "none.yaml"))
    folders = [str(root / "releases" / name) for name in ("girls-2020", "girls-2021")]
    result = CliRunner().invoke(
        app, ["diff", *folders, "--html", str(root / "diff.html"), "--images", str(root / "diff.csv")]
    )

    assert result.exit_code == 0, result.output
    assert "girls-2020 -> girls-2021\n+1 image, +1.006 kB, +1 tag, +1 new tag" in result.output
    assert "girls-2020 &rarr; girls-2021" in (root / "diff.html").read_text("utf-8")
    assert (root / "diff.csv").read_text("utf-8").splitlines() == [
        "image_id,change", "danbooru-1-0,removed", "danbooru-3-0,added", "danbooru-4-0,added",
    ]  # fmt: skip


def test_diff_prints_json(app: typer.Typer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(root / "none.yaml"))
    folders = [str(root / "releases" / name) for name in ("girls-2020", "girls-2021")]
    told = json.loads(CliRunner().invoke(app, ["diff", *folders, "--json"]).stdout)

    assert (told["before"], told["after"]) == ("girls-2020", "girls-2021")


def test_diff_of_what_is_no_release_is_refused(app: typer.Typer, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(root / "none.yaml"))
    result = CliRunner().invoke(app, ["diff", str(root), str(root)])

    assert isinstance(result.exception, ConfigError)
    assert "no finished release" in str(result.exception)
