import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pytest

from dataset_assets.config import GalleryDlSource, License
from dataset_assets.domain.annotations import ANNOTATION_MISMATCHES, MISMATCHES, SOURCE_ANNOTATIONS
from dataset_assets.domain.schemas import require_schema
from dataset_assets.sources import DamagedExport, gallery_dl
from dataset_assets.sources.gallery_dl_annotations import MAX_ENTRY_CHARACTERS, fingerprint, read_annotations
from dataset_assets.sources.kohya_texts import MAX_TEXT_BYTES
from dataset_assets_tests.sources.scrapes import as_bytes, put, sidecar, zipped

Files = dict[str, bytes]


class Read(NamedTuple):
    """Annotations, read."""

    found: pl.DataFrame
    mismatches: pl.DataFrame

    @property
    def used(self) -> list[tuple[str, str, str | None, list[str] | None]]:
        rows = self.found.filter(pl.col("problem").is_null())
        return rows.select("image_id", "origin", "caption", "tags").rows()

    @property
    def problems(self) -> dict[str, str]:
        """Kind of each mismatch by file, or by key of a meta file."""
        return {key or file: kind for kind, file, key, *_ in self.mismatches.iter_rows()}

    def details(self, kind: str) -> list[str]:
        return self.mismatches.filter(kind=kind)["detail"].to_list()


def source_of(images: Path, preprocessed: Path | None = None) -> GalleryDlSource:
    return GalleryDlSource(
        kind="gallery_dl",
        images=str(images),
        preprocessed=str(preprocessed) if preprocessed else None,
        years=(2022,),
        license=License(name="x", basis="y"),
    )


def read(images: Path, preprocessed: Path | None = None) -> Read:
    """Read a scrape, once as it is and once more: both times the same."""
    source, snapshot = source_of(images, preprocessed), images.parent / "snapshot.parquet"
    gallery_dl.read_snapshot("niji", source, snapshot, lambda line: None)
    said: list[str] = []
    found, mismatches = read_annotations("niji", source, pl.scan_parquet(snapshot), said.append)
    require_schema(SOURCE_ANNOTATIONS, found.schema)
    require_schema(ANNOTATION_MISMATCHES, mismatches.schema)
    assert set(mismatches["kind"]) <= MISMATCHES.keys()
    assert set(found["problem"].drop_nulls()) <= {*MISMATCHES, "not_listed"}
    assert said[-1].startswith(f"niji: {found.height:,} ")
    again = read_annotations("niji", source, pl.scan_parquet(snapshot), said.append)
    assert again.found.equals(found)
    assert again.mismatches.equals(mismatches)
    return Read(found, mismatches)


def scrape(folder: Path, files: dict[str, bytes | str], works: tuple[int, ...] = (7,), packed: bool = True) -> Path:
    """Images of works with their sidecars in `dataset/`, and these files besides."""
    images: Files = {}
    for work in works:
        images |= {f"dataset/{work}_p0.png": b"pixels", f"dataset/{work}_p0.png.json": as_bytes(sidecar(work))}
    images |= {name: content.encode() if isinstance(content, str) else content for name, content in files.items()}
    return zipped(folder / "pre.zip", images) if packed else put(folder / "pre", images)


def meta(**entries: Any) -> str:
    return json.dumps({f"{key.removeprefix('_')}_p0": value for key, value in entries.items()}, indent=2)


@pytest.mark.parametrize("packed", [True, False])
def test_a_text_belongs_to_the_image_of_its_stem_and_a_sidecar_to_that_of_its_full_name(
    tmp_path: Path, packed: bool
) -> None:
    files = {"dataset/7_p0.txt": "1girl, long_hair, :d\n", "dataset/7_p0.caption": "a girl, smiling\n"}

    found = read(scrape(tmp_path, dict(files), packed=packed))

    assert found.used == [
        ("niji-7-0", "sidecar", "a girl, smiling", None),
        ("niji-7-0", "sidecar", None, ["1girl", "long_hair", ":d"]),
    ]
    assert found.mismatches.is_empty()
    assert set(found.found["year"]) == {2022}


@pytest.mark.parametrize(
    ("key", "is_named"),
    [
        ("7_p0", True),
        ("dataset/7_p0.png", True),
        ("/content/drive/niji/dataset/7_p0.png", True),
        ("C:\\niji\\7_p0.png", True),
        ("7_p0.jpg", False),
        ("8_p0", False),
        ("", False),
        ("7_p0.png.json", False),
    ],
)
def test_a_key_is_a_stem_or_a_full_path(tmp_path: Path, key: str, is_named: bool) -> None:
    found = read(scrape(tmp_path, {"meta_cap.json": json.dumps({key: {"caption": "a cat"}})}))

    assert [image for image, *_ in found.used] == (["niji-7-0"] if is_named else [])
    assert list(found.mismatches["kind"]) == ([] if is_named else ["key_names_no_image"])
    assert found.found["key"].to_list() == [key], "what names no image is not lost"
    assert found.found["caption"].to_list() == ["a cat"]


def test_two_images_of_one_stem_are_a_conflict_and_neither_gets_the_caption(tmp_path: Path) -> None:
    twin = {"dataset/7_p0.jpg": b"others", "dataset/7_p0.jpg.json": as_bytes(sidecar(9, filename="9_p0"))}
    texts = {"dataset/7_p0.caption": "whose?", "meta_cap.json": meta(_7={"caption": "whose?"})}
    by_path = {"meta_full.json": json.dumps({"dataset/7_p0.jpg": {"caption": "of the second"}})}

    found = read(scrape(tmp_path, {**twin, **texts, **by_path}))

    assert found.used == [("niji-9-0", "meta_full", "of the second", None)]
    assert found.problems == {"pre.zip!dataset/7_p0.caption": "stem_conflict", "7_p0": "stem_conflict"}
    assert "7_p0.jpg" in found.details("stem_conflict")[0]


def test_one_stem_in_two_folders_is_two_images_and_a_key_must_say_which(tmp_path: Path) -> None:
    other = {"more/7_p0.png": b"others", "more/7_p0.png.json": as_bytes(sidecar(9))}
    texts = {"dataset/7_p0.caption": "first", "more/7_p0.caption": "second"}
    keys = {"/x/more/7_p0.png": {"caption": "second"}, "7_p0": {"caption": "?"}}

    found = read(scrape(tmp_path, {**other, **texts, "meta_cap.json": json.dumps(keys)}))

    assert {(image, caption) for image, _, caption, _ in found.used} == {("niji-7-0", "first"), ("niji-9-0", "second")}
    assert found.problems == {"7_p0": "stem_conflict"}


def test_every_lonely_file_is_named(tmp_path: Path) -> None:
    files: dict[str, bytes | str] = {
        "dataset/1_p0.png": b"no sidecar",
        "dataset/2_p0.png.json": as_bytes(sidecar(2)),
        "dataset/3_p0.txt": "1girl",
        "dataset/4_p0.png": b"its sidecar is none",
        "dataset/4_p0.png.json": b"{",
        "dataset/7_p0.txt": "1girl",
        "dataset/7_p0.caption": "a girl",
    }
    found = read(scrape(tmp_path, files))

    kinds = {(kind, file.rpartition("/")[2]) for kind, file, *_ in found.mismatches.iter_rows()}
    assert kinds == {
        ("image_without_sidecar", "1_p0.png"),
        ("image_without_tags", "1_p0.png"),
        ("image_without_caption", "1_p0.png"),
        ("sidecar_without_image", "2_p0.png.json"),
        ("sidecar_without_image", "3_p0.txt"),
        ("bad_sidecar", "4_p0.png.json"),
        ("image_without_tags", "4_p0.png"),
        ("image_without_caption", "4_p0.png"),
    }


def test_a_scrape_without_captions_lacks_none(tmp_path: Path) -> None:
    found = read(scrape(tmp_path, {}, works=(7, 8)))

    assert found.mismatches.is_empty()
    assert found.found.is_empty()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("dataset/7_p0.caption", b"\xff\xfea girl", "bad_encoding"),
        ("dataset/7_p0.txt", "1girl, 雪".encode("shift_jis"), "bad_encoding"),
        ("dataset/7_p0.caption", b"x" * (10 << 20), "too_long"),
        ("dataset/7_p0.caption", b" \n", "empty_caption"),
        ("dataset/7_p0.txt", b"1girl, snow, 1girl", "repeated_tag"),
        ("meta_cap.json", b"", "not_json"),
        ("meta_cap.json", b"[1]", "not_json"),
        ("meta_cap.json", b'{"7_p0": {"caption": "x"}', "not_json"),
        ("meta_cap.json", b'{"7_p0": {"caption": "x"}} {}', "not_json"),
        ("meta_cap.json", b'{"7_p0": ' + b"[" * 500_000, "not_json"),
        ("meta_cap.json", b'{"7_p0": [' + b"[]," * MAX_ENTRY_CHARACTERS + b"[]]}", "not_json"),
        ("meta_cap.json", b"\xff", "bad_encoding"),
        ("meta_cap.json", b'{"7_p0": "a girl"}', "bad_entry"),
        ("meta_cap.json", b'{"7_p0": {"caption": ["a girl"]}}', "bad_entry"),
        ("meta_cap.json", b'{"7_p0": {"tags": {"1girl": 0.9}}}', "bad_entry"),
        ("meta_cap.json", b'{"7_p0": {"caption": "\\ud800"}}', "bad_encoding"),
        ("meta_cap.json", b'{"7_p0": {"caption": "' + b"x" * (MAX_TEXT_BYTES + 1) + b'"}}', "too_long"),
        ("meta_cap.json", b'{"\\ud800": {"caption": "x"}}', "key_names_no_image"),
        ("meta_cap.json", b'{"7_p0": {"caption": ""}}', "empty_caption"),
    ],
)
def test_a_bad_file_is_a_row_with_a_reason(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    found = read(scrape(tmp_path, {name: content}, packed=False))

    assert list(found.mismatches["kind"]) == [kind]
    assert [row for row in found.used if row[2]] in ([], [("niji-7-0", "meta_cap", "x", None)])


def test_what_stands_before_a_meta_file_goes_wrong_is_read(tmp_path: Path) -> None:
    broken = meta(_7={"caption": "first"}, _8={"caption": "second"})[:-30]

    found = read(scrape(tmp_path, {"meta_cap.json": broken}, works=(7, 8)))

    assert found.used == [("niji-7-0", "meta_cap", "first", None)]
    assert found.problems == {"pre.zip!meta_cap.json": "not_json"}


def test_a_damaged_member_spoils_itself_alone(tmp_path: Path) -> None:
    path = scrape(tmp_path, {"dataset/7_p0.caption": "a girl" * 50, "dataset/7_p0.txt": "1girl"})
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("dataset/7_p0.caption").header_offset + 30 + len("dataset/7_p0.caption")
    content = bytearray(path.read_bytes())
    content[at : at + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)

    found = read(path)
    assert found.problems == {"pre.zip!dataset/7_p0.caption": "unreadable_file"}
    assert [tags for *_, tags in found.used] == [["1girl"]]


def test_unsafe_members_are_not_read(tmp_path: Path) -> None:
    found = read(scrape(tmp_path, {"../7_p0.caption": "outside", "dataset/7_p0.caption": "inside"}))

    assert [caption for _, _, caption, _ in found.used] == ["inside"]
    assert found.problems == {"pre.zip!../7_p0.caption": "unsafe_file"}


@pytest.mark.parametrize(
    ("origin", "tags", "disagrees"),
    [
        ("meta_dd", "1girl, long_hair, rating:safe", None),
        ("meta_dd", "1girl, long hair, rating:safe", "1 not in the .txt: long hair"),
        ("meta_dd", "long_hair, 1girl, rating:safe", "in another order"),
        ("meta_dd", "1girl", "2 of the .txt are missing: long_hair, rating:safe"),
        ("meta_clean", "1girl, long hair", None),
        ("meta_clean", "long hair, 1girl", "in another order than in the .txt"),
        ("meta_clean", "1girl, hat", "1 not in the .txt: hat"),
    ],
)
def test_tags_of_meta_files_are_those_of_the_text_or_said_to_differ(
    tmp_path: Path, origin: str, tags: str, disagrees: str | None
) -> None:
    files = {"dataset/7_p0.txt": "1girl, long_hair, rating:safe", f"{origin}.json": meta(_7={"tags": tags})}

    found = read(scrape(tmp_path, dict(files)))

    assert found.details("tags_disagree") == ([disagrees] if disagrees else [])
    assert len(found.used) == 2, "both are kept"


@pytest.mark.parametrize(
    ("origin", "caption", "disagrees"),
    [("meta_cap", "first", 0), ("meta_cap", "first\nsecond", 0), ("meta_cap", "other", 1), ("meta_clean", "other", 0)],
)
def test_captions_of_meta_files_are_the_text_or_its_first_line(
    tmp_path: Path, origin: str, caption: str, disagrees: int
) -> None:
    texts = {"dataset/7_p0.caption": "first\nsecond\n", f"{origin}.json": meta(_7={"caption": caption})}

    assert len(read(scrape(tmp_path, dict(texts))).details("captions_disagree")) == disagrees


def test_of_two_entries_for_one_image_in_a_file_the_first_counts(tmp_path: Path) -> None:
    both = '{"7_p0": {"caption": "first"}, "7_p0": {"caption": "second"}, "dataset/7_p0.png": {"caption": "third"}}'

    found = read(scrape(tmp_path, {"meta_cap.json": both}))

    assert [caption for _, _, caption, _ in found.used] == ["first"]
    assert sorted(found.found["caption"]) == ["first", "second", "third"]
    assert len(found.details("repeated_annotation")) == 2


def test_what_else_stands_under_a_key_is_kept(tmp_path: Path) -> None:
    found = read(scrape(tmp_path, {"meta_lat.json": meta(_7={"caption": "x", "train_resolution": [512, 768]})}))

    assert found.found["extra"].to_list() == ['{"train_resolution": [512, 768]}']


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = scrape(tmp_path, {})
    raw = zipped(tmp_path / "raw.zip", {"1_p0.png": b"x"})
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(DamagedExport, match=r"pre\.zip: not a whole zip"):
        read(raw, path)


def test_the_fingerprint_changes_with_a_text_and_with_the_preprocessed_variant(tmp_path: Path) -> None:
    folder = scrape(tmp_path, {"dataset/7_p0.caption": "a girl"}, packed=False)
    before = fingerprint(source_of(folder))
    assert fingerprint(source_of(folder)) == before
    (folder / "dataset" / "7_p0.caption").write_text("another girl")

    assert fingerprint(source_of(folder)) != before
    assert fingerprint(source_of(folder, scrape(tmp_path, {}))) != fingerprint(source_of(folder))


@pytest.mark.parametrize("version", ["gallery-dl_1.24.1", "gallery-dl_1.32.18"])
def test_real_sidecars_have_no_captions_beside_them(real_data: Path, tmp_path: Path, version: str) -> None:
    source, snapshot = source_of(real_data / "pixiv_sidecars" / version), tmp_path / "snapshot.parquet"
    gallery_dl.read_snapshot("niji", source, snapshot, lambda line: None)

    found, mismatches = read_annotations("niji", source, pl.scan_parquet(snapshot), lambda line: None)
    assert found.is_empty()
    assert dict(mismatches.group_by("kind").len().iter_rows()) == {"sidecar_without_image": 324}
