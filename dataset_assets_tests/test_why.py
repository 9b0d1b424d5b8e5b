"""`dataset-assets why` and `dataset-assets funnel`, as a curator uses them while editing dataset.yaml."""

import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from dataset_assets.domain.members import MEMBERS
from dataset_assets.storage.tables import Cell
from dataset_assets.why import why
from dataset_assets_tests.mirror import Mirror, picture
from dataset_assets_tests.test_cli import Shell

SUBSETS = """
id_lists:
  photos: {file: photos.txt, source: danbooru}
subsets:
  girls: {tags: "1girl -solo_focus", where: "width >= 32 and height >= 40 and not is_blank"}
  unique: {duplicates: drop, splits: {train: 1, val: 1}}
  strict:
    sources: [danbooru]
    license: [AGPL-3.0, CC0-1.0]
    exclude: photos
    min_side: 45
    max_aspect: 1.1
    tags: "score:>5 rating:e"
    where: "width >= 100 and page = 0"
"""
WANTED = [
    *("source_snapshot", "image_metadata", "tag_metadata", "raw_images", "image_facts", "training_images"),
    *("families", "sketch_pairs", "picture_hashes", "near_duplicates", "id_list/photos"),
    *("subset/girls", "subset/unique", "subset/strict"),
]


def make(folder: Path) -> Mirror:
    """Post 6000 shows what 5000 shows, 5001 is a photo of the list, 5002 has no file, 6001 is torn."""
    made = Mirror.make(folder)
    settings = made.config_file.read_text("utf-8")
    made.config_file.write_text(settings[: settings.index("subsets:")] + SUBSETS.lstrip(), "utf-8")
    made.image_file(6000).write_bytes(made.image_file(5000).read_bytes())
    made.image_file(5002).unlink()
    made.image_file(6001).write_bytes(picture(6001)[:200])
    made.posts[6002]["tags"].append({"id": "3", "name": "solo_focus", "category": "0"})
    made.write_metadata()
    (folder / "photos.txt").write_text("5001\n", "utf-8")
    made.rebuild(assets=WANTED)
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    return make(tmp_path_factory.mktemp("why"))


@pytest.fixture
def shell(built: Mirror, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(built, monkeypatch)


def broken(mirror: Mirror, image_id: str, subset: str) -> dict[str, list[str]]:
    return next(verdict.broken for verdict in why(mirror.config, image_id).subsets if verdict.subset == subset)


def test_every_rule_that_an_image_breaks_stands_with_what_broke_it(built: Mirror) -> None:
    assert broken(built, "danbooru-5001-0", "strict") == {
        "license": ["AGPL-3.0, CC0-1.0: that of danbooru is various, and may not be passed on"],
        "exclude": ["photos: its post is on this list"],
        "min_side": ["45: it is 48 x 40"],
        "max_aspect": ["1.1: it is 48 x 40"],
        "tags": ["rating:e: rating is 'general'"],
        "where": ["width >= 100: width is 48"],
    }
    assert broken(built, "danbooru-6002-0", "girls") == {"tags": ["-solo_focus: it has solo_focus"]}
    assert broken(built, "pixiv_niji-77-1", "strict")["source"] == ["danbooru: it is of pixiv_niji"]


def test_an_image_without_pixels_is_out_for_that_and_for_what_is_known_of_it(built: Mirror) -> None:
    assert broken(built, "danbooru-5002-0", "girls") == {"not_stored": ["its state is pending, file_missing"]}
    assert broken(built, "danbooru-6001-0", "girls") == {"undecodable": ["its file cannot be decoded: truncated"]}


def test_a_duplicate_names_its_leader_and_a_kept_image_its_part(built: Mirror) -> None:
    answer = why(built.config, "danbooru-6000-0")
    leader = why(built.config, "danbooru-5000-0")

    assert answer.duplicates == "near-duplicate of danbooru-5000-0 (equal pixels)"
    assert leader.duplicates == "leads 1 near-duplicate of it"
    unique = next(verdict for verdict in answer.subsets if verdict.subset == "unique")
    assert (unique.is_kept, unique.drop_reason, unique.note) == (False, "duplicates", None)
    kept = next(verdict for verdict in leader.subsets if verdict.subset == "unique")
    assert (kept.is_kept, kept.split in ("train", "val"), kept.broken) == (True, True, {})


def test_every_verdict_agrees_with_the_table_for_every_image(built: Mirror) -> None:
    for name in ("girls", "unique", "strict"):
        for image_id, reason in built.table(f"subset/{name}").select("image_id", "drop_reason").iter_rows():
            verdict = next(one for one in why(built.config, image_id).subsets if one.subset == name)
            assert verdict.drop_reason == reason
            assert next(iter(verdict.broken), None) == reason
            assert verdict.note is None


def test_the_releases_that_have_an_image_are_named(tmp_path: Path, shell: Shell, built: Mirror) -> None:
    folder = built.root / "releases" / "girls-1"
    folder.mkdir(parents=True)
    MEMBERS.frame(
        [{"image_id": "danbooru-7000-0", "source": "danbooru", "year": 2007, "split": "train"}]
    ).write_parquet(folder / "members.parquet")
    try:
        assert "releases    girls-1 (train)" in shell.run("why", "danbooru-7000-0")
        assert "releases    none has it" in shell.run("why", "danbooru-7001-0")
        said = shell.run("funnel", "girls", "--diff", "girls-1")
        assert "  the release girls-1" in said
        assert "not in girls-1 -> kept" in said
    finally:
        (folder / "members.parquet").unlink()


def test_the_answer_fits_a_screen_and_says_what_would_come_next(shell: Shell) -> None:
    said = shell.run("why", "danbooru-5001-0").splitlines()

    assert said[0] == "danbooru-5001-0  danbooru|2005"
    assert "strict  dropped by license" in said
    assert "  license: AGPL-3.0, CC0-1.0: that of danbooru is various, and may not be passed on" in said
    assert "  also where: width >= 100: width is 48" in said
    assert "girls  kept" in said
    assert len(said) < 24


def test_the_answer_is_to_be_had_for_programs(shell: Shell) -> None:
    answer = json.loads(shell.run("why", "danbooru-6000-0", "--json"))

    assert (answer["image_id"], answer["cell"], answer["state"]) == ("danbooru-6000-0", "danbooru|2006", "stored")
    assert {one["subset"]: one["drop_reason"] for one in answer["subsets"]} == {
        "girls": None, "unique": "duplicates", "strict": "license",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("why", "danbooru-1-0"), "no source lists danbooru-1-0; `dataset-assets search` finds ids"),
        (("why", "elsewhere-1-0"), "no source lists elsewhere-1-0"),
        (("why", "nonsense"), "danbooru-1525146-0"),
        (("funnel", "girls", "--by", "artist"), "--by 'artist': expected year, source, rating"),
        (("funnel", "girls", "--by", "year", "--diff", "before"), "do not go together"),
        (("funnel", "girls", "--ids"), "--ids goes with --diff"),
        (("funnel", "girls", "--csv", "--json"), "do not go together"),
        (("funnel", "girls", "--plot", "funnel.jpg"), "expected a name that ends with .png or .svg"),
        (("funnel", "girls", "--plot", "/no/such/folder/a.png"), "cannot be written"),
        (("funnel", "girls", "--diff", "boys"), "--diff 'boys': expected one of before, unique, strict"),
        (("funnel", "girls", "--diff", "before"), "subset girls has not changed"),
    ],
)
def test_what_cannot_be_meant_is_refused(shell: Shell, arguments: tuple[str, ...], said: str) -> None:
    assert said in shell.refused(*arguments)


def test_a_funnel_is_a_table_a_plot_and_a_file_for_programs(shell: Shell, tmp_path: Path) -> None:
    rows = list(csv.reader(io.StringIO(shell.run("funnel", "girls", "--csv"))))
    told = json.loads(shell.run("funnel", "unique", "--json"))
    shell.run("funnel", "girls", "--plot", str(tmp_path / "f.svg"))
    shell.run("funnel", "girls", "--by", "year", "--plot", str(tmp_path / "f.png"))

    assert rows[0] == ["rule", "dropped", "left"]
    assert rows[-2:] == [["tags", "1", "9"], ["where", "0", "9"]]
    assert sum(told["splits"].values()) == told["rules"][-1]["left"]
    assert ElementTree.parse(tmp_path / "f.svg").getroot().tag.endswith("svg")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("group", "rows"),
    [
        ("year", [["2005", "3", "2"], ["2006", "3", "1"], ["2007", "3", "3"], ["2022", "3", "3"]]),
        ("source", [["danbooru", "9", "6"], ["pixiv_niji", "3", "3"]]),
        ("rating", [["general", "12", "9"]]),
    ],
)
def test_a_funnel_is_told_by_group(shell: Shell, group: str, rows: list[list[str]]) -> None:
    found = list(csv.DictReader(io.StringIO(shell.run("funnel", "girls", "--by", group, "--csv"))))

    assert [[row["group"], row["candidates"], row["kept"]] for row in found] == rows


def test_two_subsets_are_compared(shell: Shell) -> None:
    told = json.loads(shell.run("funnel", "girls", "--diff", "unique", "--json", "--ids"))

    assert told["compared_with"] == ["the subset unique"]
    assert {"was": "duplicates", "now": "kept", "images": 1} in told["moves"]
    assert {"image_id": "danbooru-6000-0", "was": "duplicates", "now": "kept"} in told["images"]
    assert {one["key"] for one in told["definition"]} == {"tags", "where", "duplicates", "splits"}


@pytest.mark.slow
def test_an_edited_condition_gives_the_change_that_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror.make(tmp_path, posts_by_year=1)
    settings = mirror.config_file.read_text("utf-8").replace("2005..2007", "2007")
    mirror.config_file.write_text(settings, "utf-8")
    large = picture(7000, (96, 96))
    mirror.image_file(7000).write_bytes(large)
    assets = [*WANTED[:6], "subset/girls"]
    mirror.rebuild(assets=assets)
    mirror.config_file.write_text(settings.replace("width >= 32 and", "width >= 64 and"), "utf-8")
    assert why(mirror.config, "pixiv_niji-77-0").subsets[0].note == (
        "built by another definition than dataset.yaml now has; a rebuild judges it anew"
    )
    outcomes = mirror.rebuild(assets=["subset/girls"])

    assert {asset for outcome in outcomes for asset in outcome.assets} == {"subset/girls"}, "its cost is its own"
    shell = Shell(mirror, monkeypatch)
    said = shell.run("funnel", "girls", "--diff", "before")
    assert "pixiv_niji|2022 as before " in said
    assert ": the definition of then" in said
    assert "  was  width >= 32 and not is_blank\n  now  width >= 64 and not is_blank" in said
    assert [line.split() for line in said.splitlines() if line.startswith(("where  ", "kept  "))] == [
        ["where", "0", "3", "+3"],
        ["kept", "4", "1", "-3"],
    ]
    assert "3  kept -> dropped by where" in said
    assert "pixiv_niji-77-0  kept -> dropped by where" in shell.run("funnel", "girls", "--diff", "before", "--ids")
    moves = list(csv.reader(io.StringIO(shell.run("funnel", "girls", "--diff", "before", "--csv", "--ids"))))
    assert moves[0] == ["image_id", "was", "now"]
    assert len(moves) == 4


def test_a_subset_that_is_added_costs_itself_alone(built: Mirror) -> None:
    before = {name: built.commits(name) for name in built.tables.names()}
    settings = built.config_file.read_text("utf-8")
    built.config_file.write_text(settings + "  added: {where: 'page = 0'}\n", "utf-8")
    try:
        outcomes = built.rebuild(assets=[*WANTED, "subset/added"])
    finally:
        built.config_file.write_text(settings, "utf-8")

    assert {asset for outcome in outcomes for asset in outcome.assets} <= {"subset/added", *NEVER_FRESH}
    assert sum(outcome.computed for outcome in outcomes) == 0
    assert {name: built.commits(name) for name in before} == before
    assert built.tables.cells("subset/added") == [Cell("danbooru", year) for year in (2005, 2006, 2007)] + [
        Cell("pixiv_niji", 2022)
    ]
    assert isinstance(built.table("subset/added"), pl.DataFrame)


# Looked at by every rebuild, since only they can tell whether what feeds them changed; what is equal is not written.
NEVER_FRESH = {
    "annotation_mismatches",
    "source_annotations",
    "source_snapshot",
    "rejected_records",
    "vanished_records",
    "tag_relations",
    "raw_images",
    "id_list/photos",
}
