"""Releases from the command line: pinned, refused to change, written again, taken away."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from typer.testing import CliRunner

from dataset_assets.cli import app
from dataset_assets.config import ConfigError
from dataset_assets.environment import DAGSTER_YAML
from dataset_assets.staleness import Staleness, Verdict
from dataset_assets.storage.tables import Cell, Tables
from dataset_assets_tests.mirror import MAIN_LINE, Mirror, picture

RELEASES = """
releases:
  first: {subset: everything, formats: [webdataset, huggingface], shard_mb: 1}
  small: {subset: everything, formats: webdataset, until: {danbooru: 6001, pixiv_niji: 2022-11-01}, pixels: all}
"""


TAKEN = "pixiv_niji-77-0"
# What releases are made from; no vectors, whose model is half of the time of a small rebuild.
ASSETS = (*(name for name in MAIN_LINE if name != "clip_embeddings"), "source_annotations", "captions")


class Shell:
    """Runs commands on a mirror."""

    def __init__(self, mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASET_ASSETS_CONFIG", str(mirror.folder / "dataset.yaml"))
        monkeypatch.setenv("DAGSTER_HOME", str(mirror.folder / "home"))
        monkeypatch.setenv("COLUMNS", "200")
        self.mirror = mirror

    def run(self, *arguments: str, code: int = 0) -> str:
        """What a command prints. Fails the test when it ends with another code."""
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    def refused(self, *arguments: str) -> str:
        """What a command says when it is used wrongly."""
        with pytest.raises(ConfigError) as refusal:
            CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        return str(refusal.value)

    def manifest(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(
            (self.mirror.root / "releases" / name / "manifest.json").read_text("utf-8")
        )
        return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    mirror = Mirror.make(tmp_path_factory.mktemp("releases"))
    mirror.assets = ASSETS
    mirror.config_file.write_text(mirror.config_file.read_text("utf-8") + RELEASES, "utf-8")
    (mirror.folder / "home").mkdir()
    (mirror.folder / "home" / "dagster.yaml").write_text(DAGSTER_YAML, "utf-8")
    mirror.rebuild()  # in a memory of its own: the commands do not know it, and release `--as-is`
    return mirror


@pytest.fixture
def shell(built: Mirror, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(built, monkeypatch)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Mirror) -> Shell:
    """The same dataset once more, for a test that changes it; nothing of it is released yet."""
    shutil.copytree(built.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("releases"))
    return Shell(Mirror(tmp_path / "copy", _posts(built), assets=ASSETS), monkeypatch)


def test_a_release_is_written_once_verified_and_written_again_with_the_same_bytes(shell: Shell, tmp_path: Path) -> None:
    said = shell.run("release", "build", "first", "--as-is")
    manifest = shell.manifest("first")
    again = shell.run("release", "build", "first", "--as-is")

    assert "12 images" in said
    assert "held back: the pixels of 9 images of danbooru, whose licence is 'various'" in said
    assert again.splitlines()[-3:] == said.splitlines()[-3:], "it is found there, and nothing is written"
    assert "all as the manifest pins them" in shell.run("release", "verify", "first")
    assert "the same bytes" in shell.run("release", "rebuild", "first", "--to", str(tmp_path / "again"))
    copy = tmp_path / "again" / "manifest.json"
    assert json.loads(copy.read_text("utf-8")) == manifest
    assert "all as the manifest pins them" in shell.run("release", "verify", str(tmp_path / "again"))
    assert shell.run("release", "drift", "first").split()[:2] == ["missing", "0"]


@pytest.mark.slow
def test_a_damaged_release_fails_its_check_and_the_catalog_shows_a_whole_one(own: Shell) -> None:
    own.run("release", "build", "first", "--as-is")
    answer = own.run("sql", "select count(*), sum(bytes) > 0 from release.first", "--csv")
    (own.mirror.root / "releases/first/README.md").unlink()

    said = own.run("release", "build", "first", "--as-is", code=1)

    assert answer.splitlines()[1].endswith(",True")
    assert "check is_whole of release/first failed" in said
    assert "README.md: missing" in said


def test_a_copy_with_a_flipped_byte_ends_verify_with_exit_code_4(shell: Shell, tmp_path: Path) -> None:
    shell.run("release", "build", "first", "--as-is")
    shutil.copytree(shell.mirror.root / "releases" / "first", tmp_path / "copy")
    [shard] = (tmp_path / "copy" / "webdataset").glob("*.tar")
    data = bytearray(shard.read_bytes())
    data[700] ^= 1
    shard.write_bytes(data)

    said = shell.run("release", "verify", str(tmp_path / "copy"), code=4)

    assert f"webdataset/{shard.name}: changed: other content" in said


def test_the_gate_keeps_pixels_of_a_source_that_may_not_be_redistributed(shell: Shell) -> None:
    shell.run("release", "build", "first", "--as-is")
    release = shell.mirror.root / "releases" / "first"
    held = pl.read_parquet(release / "members.parquet").filter(~pl.col("may_redistribute"))
    prepared = shell.mirror.table("training_images").filter(pl.col("image_id").is_in(held["image_id"].to_list()))
    files = [file.read_bytes() for file in release.rglob("*") if file.is_file()]

    assert held.height == 9
    assert prepared.height == 9
    for path in prepared["path"]:
        pixels = (shell.mirror.root / path).read_bytes()
        assert not any(pixels in data for data in files), path


@pytest.mark.slow
def test_a_release_ends_where_it_says_and_with_all_pixels_has_them(shell: Shell) -> None:
    said = shell.run("release", "build", "small", "--as-is")
    members = pl.read_parquet(shell.mirror.root / "releases" / "small" / "members.parquet")

    assert members["post_id"].to_list() == ["5000", "5001", "5002", "6000", "6001"]
    assert "held back" not in said


def test_an_export_goes_where_it_is_told_and_never_over_something(shell: Shell, tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    said = shell.run("export", "girls", "--format", "webdataset", "--to", place, "--images", "original", "--all-pixels")

    assert "girls: " in said
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out"]
    assert "there is something already" in shell.refused("export", "girls", "-f", "webdataset", "--to", place)


def test_an_export_into_a_place_that_cannot_be_is_refused_before_it_is_begun(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", "utf-8")

    for place, said in {
        tmp_path / "file": "there is a file of that name",
        tmp_path / "file" / "below": "cannot be written",
        Path("/proc/none"): "cannot be written",
        shell.mirror.root / "releases" / "other": "it lies in the root",
    }.items():
        assert said in shell.refused("export", "girls", "-f", "ids", "--to", str(place))
    assert (tmp_path / "file").read_text("utf-8") == "mine"


def test_an_export_that_fails_leaves_no_scratch_beside_it(shell: Shell, tmp_path: Path) -> None:
    files = sorted((shell.mirror.root / "images" / "training").rglob("*.jpg"))
    hidden = [file.rename(file.with_suffix(".hidden")) for file in files]
    try:
        shell.run("export", "girls", "-f", "imagefolder", "--all-pixels", "--to", str(tmp_path / "out"), code=1)
    finally:
        for file in hidden:
            file.rename(file.with_suffix(".jpg"))

    assert [file.name for file in tmp_path.iterdir()] == ["out"]


def test_a_release_of_what_was_made_from_stale_tables_is_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    above = Verdict(dg.AssetKey("picture_hashes"), Cell("danbooru"), is_missing=False, causes=("has a new input",))
    monkeypatch.setattr(Staleness, "of", lambda *_: [])
    monkeypatch.setattr(Staleness, "made_from_stale", lambda *_: [above])
    said = shell.refused("release", "build", "first")
    assert said.startswith("picture_hashes danbooru: has a new input; run `dataset-assets rebuild` first")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("clip_retrieval",), "there are no vectors; build them: dataset-assets rebuild --assets clip_embeddings"),
        (("ids", "--captions", "nope"), "captions: there is no origin 'nope'; there are: none"),
        (("ids", "--tags", "published"), "no source has published tags"),
    ],
)
def test_an_export_that_asks_for_what_no_table_has_is_refused_before_it_is_begun(
    shell: Shell, tmp_path: Path, asked: tuple[str, ...], said: str
) -> None:
    output = shell.run("export", "girls", "-f", *asked, "--to", str(tmp_path / "out"), code=1)

    assert said in output
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_meant_is_said_in_a_line(shell: Shell, tmp_path: Path) -> None:
    place = str(tmp_path / "out")

    assert "subset/everything danbooru|2005: not built yet, and 3 more" in shell.refused("release", "build", "first")
    assert "has no release 'frist'; it has: first, small" in shell.refused("release", "build", "frist")
    assert "has no subset 'nope'" in shell.refused("export", "nope", "-f", "ids", "--to", place)
    assert shell.refused("export", "girls", "-f", "nope", "--to", place).startswith("--format nope: input should be")
    assert "--shard-mb 0: " in shell.refused("export", "girls", "-f", "ids", "--to", place, "--shard-mb", "0")
    assert "no finished release" in shell.refused("release", "verify", str(tmp_path))
    assert "there is no release 'none'" in shell.refused("release", "rebuild", "none", "--to", place)
    assert "there is no release 'none'" in shell.refused("release", "withdraw", "none", "--reason", "x")
    assert "release/first is made by `dataset-assets release build first`" in shell.refused(
        "rebuild", "--assets", "release/first"
    )


@pytest.mark.slow
def test_changed_tables_change_no_release_and_the_drift_is_told(own: Shell, tmp_path: Path) -> None:
    mirror = own.mirror
    own.run("release", "build", "first", "--as-is")
    before = own.manifest("first")
    mirror.add_post(5000, 2005, ["1girl", "tag_0"], data=picture(99))
    mirror.add_post(5007, 2005, ["new_tag"])
    mirror.set_tags(6000, ["other"])
    del mirror.posts[7001]
    mirror.write_metadata()

    mirror.rebuild()
    said = own.run("release", "build", "first", "--as-is", code=1)

    assert own.manifest("first") == before
    assert "has other members than the tables have now: " in said
    assert "1 new, 1 replaced, 1 changed" in said
    assert own.run("release", "drift", "first", code=1).split()[2:4] == ["new", "1"]
    assert "all as the manifest pins them" in own.run("release", "verify", "first")
    assert "the same bytes" in own.run("release", "rebuild", "first", "--to", str(tmp_path / "again"))


def _posts(built: Mirror) -> dict[int, dict[str, Any]]:
    return {post_id: dict(post) for post_id, post in built.posts.items()}


@pytest.mark.slow
def test_a_release_whose_files_are_gone_says_which_and_writes_nothing(own: Shell, tmp_path: Path) -> None:
    own.run("release", "build", "first", "--as-is")
    path = own.mirror.table("training_images").filter(pl.col("image_id") == "pixiv_niji-77-0").item(0, "path")
    (own.mirror.root / path).unlink()

    said = own.run("release", "rebuild", "first", "--to", str(tmp_path / "again"), code=1)

    assert "1 missing: its file is nowhere any more: pixiv_niji-77-0" in said
    assert not (tmp_path / "again" / "manifest.json").exists()


@pytest.mark.slow
def test_a_release_whose_file_is_another_now_is_not_written_again_and_says_so(own: Shell, tmp_path: Path) -> None:
    own.run("release", "build", "first", "--as-is")
    path = own.mirror.table("training_images").filter(pl.col("image_id") == "pixiv_niji-77-0").item(0, "path")
    file = own.mirror.root / path
    file.chmod(0o644)
    file.write_bytes(bytes(file.stat().st_size))

    said = own.run("release", "rebuild", "first", "--to", str(tmp_path / "again"), code=1)

    assert "1 changed: its file is another now" in said
    assert "pixiv_niji-77-0" in said
    assert not (tmp_path / "again" / "manifest.json").exists()


@pytest.mark.slow
def test_drift_is_told_by_the_tables_and_not_by_what_the_last_build_gathered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Mirror
) -> None:
    shutil.copytree(built.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("releases"))
    shell = Shell(Mirror(tmp_path / "copy", assets=(*ASSETS, "takedowns", "tag_index")), monkeypatch)
    shell.run("release", "build", "first", "--as-is")
    shell.run("takedown", "add", "--image", TAKEN, "--reason", "the artist asked", "--who", "ada")

    told = shell.run("release", "drift", "first", code=1)

    assert told.split()[:2] == ["missing", "1"]


def test_a_release_is_not_written_while_another_run_holds_some_of_its_members(own: Shell) -> None:
    with Tables(own.mirror.root).lock("_rebuild", Cell("danbooru")):
        said = own.run("release", "build", "small", "--as-is", code=5)

    assert "another run is writing" in said
    assert not (own.mirror.root / "releases" / "small").exists()


@pytest.mark.slow
def test_a_build_of_all_releases_leaves_those_that_are_written_alone_and_is_no_failure(own: Shell) -> None:
    mirror = own.mirror
    own.run("release", "build", "first", "--as-is")
    before = own.manifest("first")
    mirror.add_post(5000, 2005, ["1girl", "tag_0"], data=picture(99))
    mirror.rebuild()
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(settings.replace("huggingface]", "imagefolder]"), "utf-8")

    said = own.run("release", "build", "--as-is")

    assert "first was written with other formats than dataset.yaml has now" in said
    assert "written before, and left as it is: 1 of 2" in said
    assert (own.manifest("first"), own.manifest("small")["name"]) == (before, "small")


def test_the_demonstration_a_takedown_reaches_everything_and_shows_in_the_release_diff(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: Mirror
) -> None:
    shutil.copytree(built.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("releases"))
    mirror = Mirror(tmp_path / "copy", _posts(built), assets=(*ASSETS, "takedowns", "tag_index"))
    shell = Shell(mirror, monkeypatch)
    shell.run("release", "build", "first", "--as-is")
    paths = {
        name: mirror.table(name).filter(pl.col("image_id") == TAKEN).item(0, "path")
        for name in ("raw_images", "training_images")
    }
    pixels = [(mirror.root / path).read_bytes() for path in paths.values()]

    said = shell.run("takedown", "add", "--image", TAKEN, "--reason", "the artist asked", "--who", "ada")
    mirror.write_niji([(77, 0), (77, 1), (78, 0), (79, 0)])  # scraped again, with something new
    mirror.rebuild()
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(f"{settings}  second: {{subset: everything, formats: [webdataset]}}\n", "utf-8")
    shell.run("release", "build", "second", "--as-is")
    told = shell.run("release", "diff", "first", "second")
    proof = [line for line in said.splitlines() if "first" in line]

    assert proof, "the proof names the release that has it"
    for name in ("image_facts", "training_images", "captions"):
        assert TAKEN not in mirror.table(name)["image_id"].to_list(), name
    [reason] = mirror.table("subset/everything").filter(pl.col("image_id") == TAKEN)["drop_reason"]
    assert reason == "takedown"
    live = [file for file in mirror.root.rglob("*") if file.is_file() and "releases/first/" not in file.as_posix()]
    assert not [file for file in live if any(one in file.read_bytes() for one in pixels)]
    assert "taken down" in told
    assert (
        pl.read_parquet(mirror.root / "releases/second/members.parquet").filter(pl.col("image_id") == TAKEN).is_empty()
    )
    assert "all as the manifest pins them" in shell.run("release", "verify", "first"), (
        "what was published stays as it was"
    )


@pytest.mark.slow
def test_a_withdrawn_release_keeps_its_manifest_and_its_name(own: Shell) -> None:
    own.run("release", "build", "first", "--as-is")
    release = own.mirror.root / "releases" / "first"

    said = own.run("release", "withdraw", "first", "--reason", "a request of the artist")

    assert "files removed; its manifest stays" in said
    assert sorted(file.name for file in release.rglob("*") if file.is_file()) == [
        "files.parquet",
        "manifest.json",
        "members.parquet",
        "released.json",
        "withdrawn.json",
    ]
    assert "withdrawn" in own.run("release", "list")
    assert "Withdrawn: a request of the artist" in (release.parent / "CHANGELOG.md").read_text("utf-8")
    assert "first was withdrawn, and its files are gone: a request of the artist" in own.run(
        "release", "verify", "first", code=4
    )
    own.run("release", "withdraw", "first", "--reason", "asked for once more")
    assert "a request of the artist" in (release / "withdrawn.json").read_text("utf-8")
    assert "was withdrawn" in own.run("release", "build", "first", "--as-is", code=1)
