"""Parity with the files that kohya's own scripts wrote, and where these scripts are wrong.

The images and files of `kohya_preprocessed` were written by Linaqruf/kohya-trainer at c6b50b6, the scripts of the Niji
dataset's author. The rules of these scripts are stated here again, so that each difference can be shown.
"""

import glob
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.domain.kohya_cleaning import REPLACEMENTS
from dataset_assets.exports.formats import FORMATS, Settings
from dataset_assets.exports.kohya_metadata import META_FILES, texts_of
from dataset_assets.exports.target import Target
from dataset_assets_tests.exports import sd_scripts
from dataset_assets_tests.exports.hostile_members import export
from dataset_assets_tests.exports.made_members import member, members_of, tag

# The one tag of the 240 images that holds a comma: to every reader it is two. See the fifth difference.
WITH_COMMA, KEPT_WHOLE = b"rome,italy", "rome，italy"


def published(folder: Path) -> dict[str, dict[str, Any]]:
    """Members of the published images and texts, by stem, in the order in which kohya's glob met them."""
    stems = json.loads((folder / "meta_cap.json").read_text("utf-8"))
    return {stem: _member(folder / "dataset" / f"{stem}.png", number) for number, stem in enumerate(stems)}


def _member(image: Path, number: int) -> dict[str, Any]:
    data = image.read_bytes()
    caption = image.with_suffix(".caption").read_text("utf-8").splitlines()[0].strip()
    tags = image.with_suffix(".txt").read_text("utf-8").strip().split(", ")
    return member(
        f"{number:03d}",
        "openclipart",
        file=data,
        sha256=hashlib.sha256(data).hexdigest(),
        captions=[{"origin": "sidecar", "caption": caption}],
        tags=[tag(name) for name in tags],
    )


@pytest.mark.parametrize("name", META_FILES)
def test_metadata_of_real_texts_are_kohyas_own_byte_for_byte(real_data: Path, name: str) -> None:
    folder = real_data / "kohya_preprocessed"
    members, entry = published(folder), META_FILES[name]

    ours = json.dumps({stem: entry(texts_of(row)) for stem, row in members.items()}, indent=2).encode()

    theirs = (folder / f"{name}.json").read_bytes()
    assert theirs.count(WITH_COMMA) == (name != "meta_cap")
    assert ours == theirs.replace(WITH_COMMA, json.dumps(KEPT_WHOLE)[1:-1].encode())


def test_an_export_of_the_real_images_has_kohyas_own_files_under_our_names(real_data: Path, tmp_path: Path) -> None:
    folder = real_data / "kohya_preprocessed"
    chosen = dict(list(published(folder).items())[:60])
    export(members_of(list(chosen.values())), "kohya", tmp_path / "out")
    images = tmp_path / "out" / "kohya" / "img"

    for stem, row in chosen.items():
        for suffix in (".png", ".txt", ".caption"):
            assert (images / f"{row['image_id']}{suffix}").read_bytes() == (
                folder / "dataset" / f"{stem}{suffix}"
            ).read_bytes()
    for name in META_FILES:
        ours = json.loads((tmp_path / "out" / "kohya" / f"{name}.json").read_text("utf-8"))
        theirs = json.loads((folder / f"{name}.json").read_text("utf-8"))
        assert list(ours.values()) == [theirs[stem] for stem in chosen]


class Kohya:
    """Rules of the scripts of c6b50b6."""

    @staticmethod
    def images(folder: Path) -> list[str]:
        return [file for kind in ("jpg", "png", "webp") for file in glob.glob(os.path.join(folder, f"*.{kind}"))]

    @staticmethod
    def key(file: str) -> str:
        return os.path.splitext(os.path.basename(file))[0]

    @classmethod
    def captions(cls, folder: Path) -> dict[str, dict[str, str]]:
        found = {}
        for file in cls.images(folder):
            with open(os.path.splitext(file)[0] + ".caption", encoding="utf-8") as caption:
                found[cls.key(file)] = {"caption": caption.readlines()[0].strip()}
        return found

    @staticmethod
    def clean_tags(tags: str) -> str:
        return tags.replace("_", " ").split(", rating")[0]

    @staticmethod
    def clean_caption(caption: str) -> str:
        for old, new in REPLACEMENTS:
            while old in caption:
                caption = caption.replace(old, new)
        return caption


def ours(tmp_path: Path, *rows: dict[str, Any], name: str = "meta_clean") -> dict[str, dict[str, str]]:
    export(members_of(list(rows)), "kohya", tmp_path / "out")
    found: dict[str, dict[str, str]] = json.loads((tmp_path / "out/kohya" / f"{name}.json").read_text("utf-8"))
    return found


def said(caption: str) -> list[dict[str, str]]:
    return [{"origin": "human", "caption": caption}]


def test_difference_1_images_that_differ_by_extension_alone_become_one_entry(tmp_path: Path) -> None:
    assert Kohya.key("dataset/102_p0.jpg") == Kohya.key("dataset/102_p0.png")

    pixiv, danbooru = member("102", "pixiv"), member("102", "danbooru")

    assert ours(tmp_path, pixiv, danbooru).keys() == {"pixiv-102-0", "danbooru-102-0"}


def test_difference_2_entries_stand_in_the_order_of_a_folder(real_data: Path, tmp_path: Path) -> None:
    keys = list(json.loads((real_data / "kohya_preprocessed" / "meta_cap.json").read_text("utf-8")))
    assert keys != sorted(keys)

    found = list(ours(tmp_path, member("3"), member("1"), member("2")))

    assert found == ["danbooru-1-0", "danbooru-2-0", "danbooru-3-0"]


def test_difference_3_a_sidecar_has_a_stem_that_is_no_image(tmp_path: Path) -> None:
    assert Kohya.key("dataset/102_p0.png.json") == "102_p0.png"

    keys = ours(tmp_path, member("102"))

    assert all((tmp_path / "out/kohya/img" / f"{key}.png").is_file() for key in keys)
    assert not any(os.path.splitext(key)[1] for key in keys)


def test_difference_4_cleaning_replaces_parts_of_words(tmp_path: Path) -> None:
    caption = "a woman with a ladybird in a personal room"
    assert Kohya.clean_caption(caption) == "a girl with a girlbird in a girlal room"

    (entry,) = ours(tmp_path, member("1", captions=said(caption))).values()

    assert entry["caption"] == "a girl with a ladybird in a personal room"


def test_difference_5_a_comma_within_a_tag_makes_it_two(tmp_path: Path) -> None:
    assert sd_scripts.tags_of(", ".join(["rome,italy", "map"])) == ["rome", "italy", "map"]

    (entry,) = ours(tmp_path, member("1", tags=[tag("rome,italy"), tag("map")])).values()

    assert sd_scripts.tags_of(entry["tags"]) == [KEPT_WHOLE, "map"]


def test_difference_6_faces_lose_their_mouth(tmp_path: Path) -> None:
    assert Kohya.clean_tags("long_hair, ^_^") == "long hair, ^ ^"

    (entry,) = ours(tmp_path, member("1", tags=[tag("long_hair"), tag("^_^")])).values()

    assert entry["tags"] == "long hair, ^_^"


def test_difference_7_a_rating_takes_all_tags_after_it_along(tmp_path: Path) -> None:
    assert Kohya.clean_tags("1girl, rating:safe, solo") == Kohya.clean_tags("1girl, ratings_(meme), solo") == "1girl"

    tags = [tag("1girl"), tag("rating:safe"), tag("ratings_(meme)"), tag("solo")]
    (entry,) = ours(tmp_path, member("1", tags=tags)).values()

    assert entry["tags"] == "1girl, ratings (meme), solo"


def test_difference_8_of_a_caption_only_the_first_line_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.caption").write_text("two girls\nat night\n")
    assert Kohya.captions(tmp_path) == {"a": {"caption": "two girls"}}

    (entry,) = ours(tmp_path, member("1", captions=said("two girls\nat night"))).values()

    assert entry["caption"] == "two girls at night"


def test_difference_9_an_image_without_a_caption_stops_the_scripts(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(FileNotFoundError):
        Kohya.captions(tmp_path)
    (tmp_path / "a.caption").touch()
    with pytest.raises(IndexError):
        Kohya.captions(tmp_path)

    ours(tmp_path, member("1", captions=[]))

    assert Kohya.captions(tmp_path / "out/kohya/img") == {"danbooru-1-0": {"caption": ""}}


def test_difference_10_an_empty_caption_puts_a_comma_before_the_tags(tmp_path: Path) -> None:
    assert sd_scripts.text_of({"caption": "", "tags": "1girl"}, old=True) == ",1girl"

    (entry,) = ours(tmp_path, member("1", captions=[], tags=[tag("1girl")])).values()

    assert sd_scripts.text_of(entry, old=True) == "1girl"


def test_difference_11_entries_of_images_that_are_gone_stay(tmp_path: Path) -> None:
    """kohya's scripts read what they wrote before, and add to it."""
    target = Target(tmp_path / "out", tmp_path / "scratch")
    for rows in ([member("1"), member("2")], [member("2")]):
        list(FORMATS["kohya"].write(members_of(rows), target, Settings("girls")))

    assert json.loads((tmp_path / "out/kohya/meta_clean.json").read_text("utf-8")).keys() == {"danbooru-2-0"}
