from pathlib import Path

import pytest

from dataset_assets.config import ConfigError, load_config, parse_years
from dataset_assets.places import S3Place

GOOD = """
root: ./data
sources:
  danbooru:
    kind: danbooru
    metadata: metadata/*.json
    images: original
    years: 2019..2021
    license: {name: various, basis: site terms}
  pixiv_niji:
    kind: gallery_dl
    images: niji.zip
    years: [2022]
    license: {name: AGPL-3.0, basis: claimed by the compiler}
subsets:
  sfw: {tags: "rating:general -animated", where: "width >= 512"}
"""


def write(folder: Path, text: str = GOOD) -> Path:
    file = folder / "dataset.yaml"
    file.write_text(text, "utf-8")
    return file


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load_config(write(folder, text))
    return str(refused.value)


def test_a_good_file_gives_its_cells_in_order(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))

    assert config.cells() == [("danbooru", 2019), ("danbooru", 2020), ("danbooru", 2021), ("pixiv_niji", 2022)]
    assert config.cells(["danbooru"], [2020, 2022]) == [("danbooru", 2020)]
    assert config.years == (2019, 2020, 2021, 2022)
    assert config.root_path == tmp_path / "data"
    assert config.sources["danbooru"].resolve("x") == tmp_path / "x"


def test_a_root_in_a_bucket_has_a_place_a_cache_and_no_links(tmp_path: Path) -> None:
    text = GOOD.replace("root: ./data", "root: s3://bucket/a/b/\ns3: {region: eu-west-3, cache: ./copies}")
    cache = tmp_path / "copies" / "bucket" / "a" / "b"

    assert load_config(write(tmp_path, text)).root_path == S3Place("bucket", "a/b", cache, region="eu-west-3")
    linked = text.replace("    images: original\n", "    images: original\n    store: link\n")
    assert "a bucket cannot hold links; use copy or reference" in refusal(tmp_path, linked)
    with_secret = text.replace("{region", "{secret_access_key: x, region")
    assert "s3.secret_access_key: unknown key" in refusal(tmp_path, with_secret)


def test_a_root_in_a_folder_may_say_how_the_bucket_of_an_export_is_reached(tmp_path: Path) -> None:
    text = GOOD.replace("root: ./data", "root: ./data\ns3: {endpoint: http://minio:9000}")
    config = load_config(write(tmp_path, text))

    assert config.root_path == tmp_path / "data"
    assert config.s3.endpoint == "http://minio:9000"


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        (
            "kind: gallery_dl",
            "kind: gelbooru",
            "sources.pixiv_niji.kind: 'gelbooru' is no kind of source; expected 'danbooru', 'gallery_dl', ",
        ),
        ("    kind: gallery_dl\n", "", "sources.pixiv_niji.kind: missing"),
        ("images: original", "image: original", "sources.danbooru.images: missing"),
        ("images: original", "images: original\n    colour: red", "sources.danbooru.colour: unknown key"),
        ("root: ./data", "root: ./data\nrot: 1", "rot: unknown key"),
        ("root: ./data", "root: ftp://bucket/prefix", "root: ftp://bucket/prefix is neither a folder nor an S3 bucket"),
        (
            "2019..2021",
            "2021..2019",
            "sources.danbooru.years: 2021..2019: the first year is after the last; write 2019..2021",
        ),
        ("2019..2021", "20190..2021", "sources.danbooru.years: 20190..2021: the first year is after the last"),
        ("2019..2021", "1066", "sources.danbooru.years: 1066 is no year that a dataset could have"),
        ("2019..2021", "soon", "sources.danbooru.years: 'soon' is no year or span of years"),
        ("[2022]", "[]", "sources.pixiv_niji.years: [] is no year or span of years"),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {max_side: 0}",
            "training_images.max_side: input should be greater than or equal to 1",
        ),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {max_side: 512, size: 640x960}",
            "training_images: max_side and size both say how large",
        ),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {fit: keep, max_side: 512}",
            "training_images: fit: keep leaves every size as it is",
        ),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {fit: crop, padding: black}",
            "training_images: padding colours what fit: pad adds, and fit is crop; take padding out",
        ),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {format: png, quality: 95}",
            "training_images: quality is of JPEG and WebP, and format is png; take quality out",
        ),
        (
            "images: original",
            "images: original\n    fetch: {attempts: 1}",
            "sources.danbooru: fetch: says how images are",
        ),
        (
            "images: original",
            "images: original\n    s3: {unsigned: true}",
            "sources.danbooru: s3: says how a bucket is",
        ),
        (
            "root: ./data",
            "root: ./data\noptimized_images:",
            "optimized_images: nothing stands below this key; write {}",
        ),
        ("root: ./data", "root: ./data\nclip: # model: x", "clip: nothing stands below this key; write {}"),
        ("root: ./data", "root: ./data\nclip: ViT", "clip: expected keys with values, found 'ViT'"),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {size: 640x}",
            "training_images.size: '640x' is no width and height; write 640x960",
        ),
        (
            "root: ./data",
            "root: ./data\ntraining_images: {background: pink}",
            "training_images.background: 'pink' is no colour; write auto, white, black",
        ),
        ("root: ./data", "root: ./data\nengine: spark", "engine: input should be 'local'"),
        ("  pixiv_niji:", "  Pixiv-Niji:", "sources: 'Pixiv-Niji': a name is 1 to 32 of a-z, 0-9 and _"),
        ("root: ./data", "root: ./data\nroot: ./other", "key 'root' stands twice"),
        (
            "root: ./data",
            "root: !!python/object/apply:os.system ['true']",
            "not YAML: could not determine a constructor",
        ),
        ("root: ./data", "root: &a ./data\nengine: *a", "aliases (*name) are not used here"),
        ('tags: "rating:general -animated"', 'tags: "(1girl"', "subsets.sfw.tags: "),
        ("width >= 512", "no_such_column > 1", "subsets.sfw.where: "),
        (
            "{tags:",
            "{sources: [danboru], tags:",
            "subsets.sfw.sources: there is no source 'danboru'; did you mean 'danbooru'?",
        ),
        ("images: niji.zip", "images: niji.zip\n    store: link", "sources.pixiv_niji.store: "),
    ],
)
def test_what_is_wrong_is_said_in_a_line_that_names_the_key(tmp_path: Path, wrong: str, right: str, said: str) -> None:
    assert wrong in GOOD
    assert said in refusal(tmp_path, GOOD.replace(wrong, right))


def test_lists_of_names_may_stand_empty(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD.replace("  sfw:", "#  sfw:") + "releases:\nid_lists: {}\n"))

    assert (config.subsets, config.releases, config.id_lists) == ({}, {}, {})


def test_every_wrong_key_is_named_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("images: original", "image: original").replace("[2022]", "soon")

    assert len(refusal(tmp_path, text).splitlines()) == 3


@pytest.mark.parametrize("text", ["", "- a list", "just text", "\x00", "a: b: c", "{" * 5000])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    assert str(tmp_path / "dataset.yaml") in refusal(tmp_path, text)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset-assets init"):
        load_config(tmp_path / "dataset.yaml")


def test_an_enormous_file_is_not_read(tmp_path: Path) -> None:
    assert "this cannot be a dataset.yaml" in refusal(tmp_path, "#" * 1_000_001)


def test_missing_inputs_are_all_named_before_anything_runs(tmp_path: Path) -> None:
    config = load_config(write(tmp_path))
    with pytest.raises(ConfigError) as refused:
        config.require_inputs()

    assert f"sources.danbooru.metadata: no file matches {tmp_path}/metadata/*.json" in str(refused.value)
    assert f"sources.danbooru.images: {tmp_path}/original is not a folder" in str(refused.value)
    assert "sources.pixiv_niji.images: " in str(refused.value)


def test_inputs_that_are_there_satisfy(tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata/2019.json").write_text("")
    (tmp_path / "original").mkdir()
    (tmp_path / "niji.zip").write_bytes(b"")
    config = load_config(write(tmp_path))

    config.require_inputs()
    assert [file.name for file in config.sources["danbooru"].files(["metadata/*.json"])] == ["2019.json"]


@pytest.mark.parametrize(
    ("value", "years"),
    [("2019..2021", (2019, 2020, 2021)), (2019, (2019,)), ("2019", (2019,)), ([2021, 2019, 2019], (2019, 2021))],
)
def test_years_are_read_in_every_form(value: object, years: tuple[int, ...]) -> None:
    assert parse_years(value) == years


@pytest.mark.parametrize(
    "value", [True, None, 2019.0, [], ["2019"], "2019-2021", {}, "2019..2021..2023", "0..9999999999999"]
)
def test_what_is_no_year_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="year"):
        parse_years(value)


def test_a_source_that_is_fetched_says_how(tmp_path: Path) -> None:
    fetch = "fetch: {rate_per_host: null, allow_addresses: 10.1.0.0/16}"
    fetched = GOOD.replace("images: original", f"images: url\n    {fetch}")

    source = load_config(write(tmp_path, fetched)).sources["danbooru"]

    assert source.is_fetched
    assert source.fetch.rate_per_host is None
    assert source.fetch.allow_addresses == ("10.1.0.0/16",)
    assert source.fetch.opt_outs
    assert not source.fetch.allow_http_downgrade


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("images: url\n    store: link", "store: link needs files on this machine"),
        ("images: url\n    fetch: {headers: {Authorization: x}}", "cannot be set here"),
        ("images: url\n    fetch: {allow_addresses: nowhere}", "sources.danbooru.fetch.allow_addresses"),
        ("images: url\n    fetch: {placeholders: [abc]}", "sources.danbooru.fetch.placeholders"),
        ("images: url\n    fetch: {retries: 3}", "sources.danbooru.fetch.retries: unknown key"),
        ("images: url\n    fetch: {max_bytes: 0}", "sources.danbooru.fetch.max_bytes"),
    ],
)
def test_what_a_fetch_cannot_do_is_said(tmp_path: Path, change: str, said: str) -> None:
    assert said in refusal(tmp_path, GOOD.replace("images: original", change))


def test_only_records_that_give_an_address_are_fetched(tmp_path: Path) -> None:
    assert "images: url is for sources of kind danbooru and pd12m" in refusal(
        tmp_path, GOOD.replace("images: niji.zip", "images: url")
    )
