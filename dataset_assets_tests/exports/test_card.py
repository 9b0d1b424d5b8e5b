import hashlib
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from huggingface_hub import DatasetCard
from PIL import Image

from dataset_assets.domain.members import MEMBERS
from dataset_assets.exports.card_citations import of_release, of_sources
from dataset_assets.exports.card_figures import figures_of, quantile
from dataset_assets.exports.card_front_matter import hub_license, licenses, size_category
from dataset_assets.exports.card_loading import loading
from dataset_assets.exports.card_samples import SIDE, samples
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.huggingface import write as write_huggingface
from dataset_assets.exports.members import MemberLost, Members
from dataset_assets.exports.release import Plan, manifest_hash, verify, write_release
from dataset_assets.exports.release_report import write_report
from dataset_assets.exports.target import Target
from dataset_assets_tests.releases import member

HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[31m|`\u202e[x](javascript:alert(2)) www.evil.org\n# big"


def jpeg(colour: str, size: tuple[int, int] = (64, 48)) -> bytes:
    with io.BytesIO() as buffer:
        Image.new("RGB", size, colour).save(buffer, "JPEG")
        return buffer.getvalue()


def made(*rows: dict[str, Any], files: dict[str, bytes] | None = None) -> Members:
    """Members whose files are grey JPEGs, but for those in `files` by their path."""
    given = {row["path"]: (files or {}).get(row["path"], jpeg("grey")) for row in rows}
    rows = tuple({**row, "sha256": hashlib.sha256(given[row["path"]]).hexdigest()} for row in rows)
    frame = MEMBERS.frame(rows).sort(MEMBERS.sorted_by)
    return Members([frame.lazy()], given.__getitem__)


def manifest(**said: Any) -> dict[str, Any]:
    return {
        "name": "girls-2021", "subset": "girls", "definition": {"tags": "1girl"}, "until": {}, "images": "training",
        "sources": {"danbooru": {"kind": "danbooru", "snapshot": {"content": "abc", "records": 3, "known_at": None}}},
        "recipes": {"training_images": ["a1"], "captions": []}, "members": {"sha256": "5" * 64, "count": 3},
        "held_back": {}, "formats": {}, **said,
    }  # fmt: skip


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    def write(members: Members, **said: Any) -> Path:
        folder = tmp_path / f"release{len(list(tmp_path.iterdir()))}"
        list(write_report(members, Target(folder, tmp_path / "scratch"), manifest(**said)))
        return folder

    return write


def card(folder: Path) -> DatasetCard:
    return DatasetCard((folder / "README.md").read_text("utf-8"))


THREE = (
    member(1, split="train"),
    member(2, split="train", rating="explicit", captions=[], tags=[], artist=[], is_ai_generated=True),
    member(3, split="test", source="pixiv", license="All rights reserved", may_redistribute=False, year=2022),
)


def test_the_hub_reads_the_front_matter(written: Callable[..., Path]) -> None:
    data = card(written(made(*THREE[:2]), title="Girls of 2021")).data.to_dict()

    assert data["license"] == "cc0-1.0"
    assert data["pretty_name"] == "Girls of 2021"
    assert data["language"] == ["en"]
    assert data["size_categories"] == ["n<1K"]
    assert "text-to-image" in data["task_categories"]
    assert "not-for-all-audiences" in data["tags"]
    assert "configs" not in data


def test_a_licence_that_the_hub_does_not_know_is_other_with_a_name(written: Callable[..., Path]) -> None:
    data = card(written(made(*THREE))).data.to_dict()

    assert (data["license"], data["license_link"]) == ("other", "LICENSES.md")
    assert data["license_name"] == "all-rights-reserved-and-cc0-1.0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("CC0-1.0", "cc0-1.0"), ("AGPL-3.0", "agpl-3.0"), ("CC BY 4.0", "cc-by-4.0"), ("various", None), ("", None)],
)
def test_licences_have_the_hubs_names(name: str, expected: str | None) -> None:
    assert hub_license(name) == expected


def test_several_known_licences_are_a_list() -> None:
    assert licenses(["MIT", "CC0-1.0"]) == {"license": ["cc0-1.0", "mit"]}
    assert licenses([])["license"] == "other"


@pytest.mark.parametrize(
    ("images", "expected"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (12_000_000, "10M<n<100M")],
)
def test_sizes_are_in_the_hubs_categories(images: int, expected: str) -> None:
    assert size_category(images) == expected


def test_datasets_loads_the_release_by_its_card(tmp_path: Path) -> None:
    from datasets import load_dataset

    members, target = made(*THREE), Target(tmp_path / "release", tmp_path / "scratch")
    may = members.filter(pl.col("may_redistribute"))
    files = list(write_huggingface(may, target, Settings("girls-2021")))
    list(write_report(members, target, manifest(formats={"huggingface": {"count": len(files)}})))
    target.finish()

    loaded = load_dataset(str(tmp_path / "release"), cache_dir=str(tmp_path / "cache"))

    assert {split: rows["image_id"] for split, rows in loaded.items()} == {"train": ["danbooru-1-0", "danbooru-2-0"]}
    assert loaded["train"][0]["image"].size == (64, 48)


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def hostile() -> Members:
    said = {"rating": HOSTILE, "license_basis": HOSTILE, "artist": [HOSTILE], "caption_model": HOSTILE}
    text = [{"origin": HOSTILE, "caption": HOSTILE}]
    return made(
        member(1, tags=[f"{HOSTILE}:{HOSTILE}", f"character:{HOSTILE}"], captions=text, license=HOSTILE, **said)
    )


def test_hostile_words_do_nothing_on_the_page(written: Callable[..., Path]) -> None:
    parser = Elements()
    parser.feed((written(hostile(), title=HOSTILE, description=HOSTILE) / "card.html").read_text("utf-8"))

    assert not {tag for tag, _ in parser.seen} & {"script", "link", "iframe", "object", "base", "form", "a"}
    assert all(attributes["src"].startswith("data:") for tag, attributes in parser.seen if tag == "img")  # type: ignore[union-attr]
    assert not any(name.startswith("on") for _, attributes in parser.seen for name in attributes)


def test_hostile_words_stay_words_in_markdown(written: Callable[..., Path]) -> None:
    folder = written(hostile(), title=HOSTILE, description=HOSTILE)
    for name in ("README.md", "LICENSES.md"):
        text = (folder / name).read_text("utf-8")
        body = text.split("\n---\n", 1)[-1]
        without_code = re.sub(r"(?ms)^```.*?^```$", "", body)

        assert "<img" not in without_code
        assert "www.evil.org" not in without_code
        assert not re.search(r"(?<!\\)\]\(javascript", without_code)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "\n# big" not in text
    assert yaml.safe_load((folder / "README.md").read_text("utf-8").split("---\n")[1])["pretty_name"].startswith("</")


def test_equal_members_have_equal_cards_in_other_folders(written: Callable[..., Path]) -> None:
    one, other = written(made(*THREE)), written(made(*reversed(THREE)))
    files = [
        file.relative_to(one) for file in sorted(one.rglob("*")) if file.is_file() and "_finished" not in file.parts
    ]

    assert len(files) == 9
    assert all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def test_limits_are_told_out_of_the_figures(written: Callable[..., Path]) -> None:
    text = (written(made(*THREE)) / "README.md").read_text("utf-8")

    assert "1 images (33.3 %) have no caption." in text
    assert "1 images (33.3 %) are declared to be made by AI." in text
    assert "Of 2 images (66.7 %) the source does not say whether AI made them" in text
    assert "name no artist" in text
    assert "have no rating" not in text


def test_what_the_licence_gate_held_back_is_told(written: Callable[..., Path]) -> None:
    assert "Held back: the pixels of 7 images of pixiv" in (
        written(made(*THREE), held_back={"pixiv": 7}) / "README.md"
    ).read_text("utf-8")
    assert "for use within one's own house" in (written(made(*THREE), pixels="all") / "README.md").read_text("utf-8")


def test_random_weights_are_told(written: Callable[..., Path]) -> None:
    text = (written(made(member(1, caption_model="tiny (random weights)"))) / "README.md").read_text("utf-8")

    assert "tiny (random weights): weights were drawn at random" in text


def test_a_picture_that_is_in_two_splits_is_a_warning(written: Callable[..., Path]) -> None:
    twice = made(member(1, split="train"), member(2, split="test", pixel_hash="pixels of 1"), member(3, split="test"))

    assert figures_of(twice).repeated.rows() == [(2, 2, 1)]
    assert "1 of them are in more than one split" in (written(twice) / "README.md").read_text("utf-8")


def test_a_release_without_members_has_a_card(written: Callable[..., Path]) -> None:
    folder = written(Members([MEMBERS.empty().lazy()], {}.__getitem__))

    assert card(folder).data.to_dict()["size_categories"] == ["n<1K"]
    assert "girls-2021" in (folder / "card.html").read_text("utf-8")


def test_samples_show_only_what_may_be_shown() -> None:
    red = {row["path"]: jpeg("red") for row in THREE[1:]}
    sheet = samples(made(*THREE, files=red))

    assert sheet is not None
    shown = Image.open(io.BytesIO(sheet.jpeg)).convert("RGB")
    assert [row["image_id"] for row in sheet.shown] == ["danbooru-1-0"]
    assert shown.size == (SIDE + 8, SIDE + 8)
    assert all(red_part < 200 for _, (red_part, *_rest) in shown.getcolors(1 << 20) or () if _rest[0] < 100)


def test_samples_of_nothing_that_may_be_shown_are_none() -> None:
    assert samples(made(*THREE[1:])) is None


def test_a_sample_that_is_no_picture_is_left_out() -> None:
    broken = made(member(1), member(2), files={"images/1.jpg": b"\xff\xd8 no picture"})

    sheet = samples(broken)

    assert sheet is not None
    assert [row["image_id"] for row in sheet.shown] == ["danbooru-2-0"]


def test_who_made_the_samples_is_told_beside_them(written: Callable[..., Path]) -> None:
    lines = pl.read_csv(written(made(*THREE)) / "card" / "samples.csv")

    assert lines.select("row", "column", "image_id", "artist").rows() == [(1, 1, "danbooru-1-0", "ada")]


def test_a_sample_that_is_gone_stops_the_card() -> None:
    row = {**member(1), "path": "images/gone.jpg"}

    def gone(path: str) -> bytes:
        raise FileNotFoundError(path)

    with pytest.raises(MemberLost, match="danbooru-1-0"):
        samples(Members([MEMBERS.frame([row]).lazy()], gone))


def test_credits_name_every_image_and_no_cell_is_a_formula(written: Callable[..., Path]) -> None:
    rows = [member(1, title="=cmd()", artist=["+ada"]), member(2, may_redistribute=False, title='a "b", c\nd')]
    lines = pl.read_csv(written(made(*rows)) / "ATTRIBUTION.csv")

    assert lines["image_id"].to_list() == ["danbooru-1-0", "danbooru-2-0"]
    assert lines["title"].to_list() == ["'=cmd()", 'a "b", c d']
    assert lines["artist"].to_list() == ["'+ada", "ada"]
    assert lines["may_redistribute"].to_list() == ["yes", "no"]


def test_sources_are_cited_as_they_ask() -> None:
    sources = {
        "danbooru2021": {"kind": "danbooru"}, "pixiv_niji": {"kind": "gallery_dl"}, "pd": {"kind": "pd12m"},
        "clipart": {"kind": "danbooru"}, "own": {"kind": "danbooru", "citation": "Us, 2020"},
    }  # fmt: skip
    found = of_sources({"sources": sources})

    assert list(found) == ["danbooru2021", "own", "pd", "pixiv_niji"]
    assert "Gwern Branwen" in found["danbooru2021"]
    assert found["own"] == "Us, 2020"


def test_the_release_is_cited_without_a_day_and_braces_stay_closed() -> None:
    entry = of_release(manifest(title="A } title_ \\with {"))

    assert entry.count("{") == entry.count("}")
    assert "5" * 64 in entry
    assert of_release(manifest(citation="Cite us so")) == "Cite us so"


def test_a_release_with_its_card_is_whole_and_the_same_elsewhere(tmp_path: Path) -> None:
    plan = Plan(Settings("girls-2021"), ["webdataset", "ids"], "key", report=write_report)
    manifests = []
    for name in ("one", "other"):
        target = Target(tmp_path / name, tmp_path / "scratch")
        manifests.append(write_release(made(*THREE), plan, target, print))

        assert list(verify(target, print)) == []
        listed = set(pl.read_parquet(tmp_path / name / "files.parquet")["name"])
        assert listed >= {"README.md", "card.html", "card/samples.jpg", "ATTRIBUTION.csv", "LICENSES.md"}
    assert manifest_hash(manifests[0]) == manifest_hash(manifests[1])


def test_code_for_reading_names_the_files_that_are_there() -> None:
    shards = [f"webdataset/{name}.tar" for name in ("train-00000", "train-00001", "train-00012", "test-00000")]
    hub = ["huggingface/data/train-00000-of-00001.parquet", "huggingface/data/test-00000-of-00001.parquet"]
    kohya = ["kohya/test/dataset.toml", "kohya/train/dataset.toml"]
    files = {"webdataset": shards, "huggingface": hub, "kohya": kohya, "niji": ["niji/girls_preprocessed.zip"]}
    code = {code.title.split(":")[0]: code.text for code in loading(list(FORMATS), files)}

    assert set(code) == set(FORMATS)
    assert "webdataset/train-{00000..00012}.tar" in code["webdataset"]
    assert (
        '{"test": "huggingface/data/test-*.parquet", "train": "huggingface/data/train-*.parquet"}'
        in code["huggingface"]
    )
    assert "kohya/train/dataset.toml" in code["kohya"]
    assert "niji/girls_preprocessed.zip" in code["niji"]
    for text in (text for name, text in code.items() if name not in ("kohya", "sqlite")):
        compile(text, "card", "exec")


def test_quantiles_are_of_what_was_counted() -> None:
    counts = pl.DataFrame({"characters": [1, 5, 9], "captions": [1, 2, 1]})

    assert [quantile(counts, "characters", "captions", share) for share in (0.25, 0.5, 1.0)] == [1, 5, 9]
    assert quantile(counts.clear(), "characters", "captions", 0.5) is None


def test_the_definition_of_the_subset_is_on_the_card(written: Callable[..., Path]) -> None:
    text = (written(made(*THREE)) / "README.md").read_text("utf-8")

    assert json.dumps({"girls": {"tags": "1girl"}}, indent=1) in text
