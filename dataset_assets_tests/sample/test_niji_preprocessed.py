from collections import Counter
from pathlib import Path

import polars as pl

from dataset_assets.config import GalleryDlSource, load_config
from dataset_assets.sample.niji_preprocessed import write_preprocessed
from dataset_assets.sample.niji_zip import ARCHIVE
from dataset_assets.sources import gallery_dl
from dataset_assets.sources.gallery_dl_annotations import read_annotations


def test_captions_and_tags_are_read_and_what_was_left_out_is_said(sample: Path, tmp_path: Path) -> None:
    source = load_config(sample / "dataset.yaml").sources["pixiv_niji"]
    assert isinstance(source, GalleryDlSource)
    gallery_dl.read_snapshot("pixiv_niji", source, tmp_path / "snapshot.parquet", lambda line: None)
    found, mismatches = read_annotations(
        "pixiv_niji", source, pl.scan_parquet(tmp_path / "snapshot.parquet"), lambda line: None
    )

    kinds = Counter(mismatches["kind"])
    assert found["problem"].null_count() == found.height
    assert kinds["image_without_caption"] == 1
    assert 0 < kinds["not_in_preprocessed"] < 20
    # What is wrong with the raw archive's own files, and no more.
    assert kinds.keys() == {
        "image_without_caption",
        "not_in_preprocessed",
        "image_without_sidecar",
        "sidecar_without_image",
        "bad_sidecar",
    }


def test_equal_works_are_equal_bytes(sample: Path, tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes((sample / "sources" / ARCHIVE).read_bytes())
    write_preprocessed(tmp_path)

    [written] = tmp_path.glob("*_preprocessed.zip")
    assert written.read_bytes() == (sample / "sources" / written.name).read_bytes()
