import hashlib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from dataset_assets.compute.image_work import (
    Judge,
    JudgeAndPrepare,
    Prepare,
    TakeIn,
    UnusableFile,
    lost_facts,
    lost_raw_image,
    lost_training_image,
    read_raw,
)
from dataset_assets.compute.local import LocalEngine
from dataset_assets.domain.images import LIMITS
from dataset_assets.domain.schemas import IMAGE_FACTS, RAW_IMAGES, TRAINING_IMAGES
from dataset_assets.domain.states import is_lawful
from dataset_assets.domain.training import TrainingRecipe
from dataset_assets.storage.blobs import Blobs
from dataset_assets_tests.mirror import picture

PNG = picture(1)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "root")


def listed(file: Path | None, size: int = len(PNG), **claims: Any) -> dict[str, Any]:
    location = None if file is None else str(file)
    return {"image_id": "danbooru-7-0", "location": location, "size": size, "md5": None, "file_ext": "png", **claims}


def write(folder: Path, data: bytes) -> dict[str, Any]:
    (folder / "7.png").write_bytes(data)
    return listed(folder / "7.png", len(data))


def take_in(blobs: Blobs, row: dict[str, Any], **how: Any) -> dict[str, Any]:
    [result] = TakeIn(blobs, how.pop("store", "copy"), **how)([row])
    assert is_lawful(result["state"], result.get("reason"))
    RAW_IMAGES.frame([result])
    return result


def test_a_stored_image_has_its_hashes_and_lies_under_the_name_of_its_content(tmp_path: Path, blobs: Blobs) -> None:
    md5 = hashlib.md5(PNG, usedforsecurity=False).hexdigest()
    row = take_in(blobs, {**write(tmp_path, PNG), "md5": md5})

    sha256 = hashlib.sha256(PNG).hexdigest()
    assert (row["state"], row["sha256"], row["md5_matches"]) == ("stored", sha256, True)
    assert row["path"] == f"images/raw/danbooru/0007/7_p0.{sha256[:12]}.png"
    assert blobs.get(row["path"]) == PNG


def test_a_claimed_md5_that_differs_is_a_recorded_fact(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, {**write(tmp_path, PNG), "md5": "0" * 32})

    assert (row["state"], row["md5_matches"], row["md5_claimed"]) == ("stored", False, "0" * 32)


def test_a_wrong_extension_is_stored_under_the_true_one(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, write(tmp_path, picture(2, form="JPEG")))

    assert (row["format"], row["extension_matches"]) == ("jpeg", False)
    assert row["path"].endswith(".jpg")


@pytest.mark.parametrize(
    ("data", "state", "reason"),
    [
        (b"", "quarantined", "empty_file"),
        (b"hello", "quarantined", "not_an_image"),
        (b"<!DOCTYPE html><html>", "quarantined", "not_an_image"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(12), "excluded", "video"),
        (b"CWS\x0a" + bytes(20), "excluded", "flash"),
        (b"PK\x03\x04" + bytes(40), "excluded", "archive"),
        (b"%PDF-1.7\n", "excluded", "document"),
    ],
)
def test_what_is_no_still_image_is_a_row_with_its_reason(
    tmp_path: Path, blobs: Blobs, data: bytes, state: str, reason: str
) -> None:
    row = take_in(blobs, write(tmp_path, data))

    assert (row["state"], row["reason"]) == (state, reason)
    assert row["sha256"] == hashlib.sha256(data).hexdigest()


def test_a_missing_file_is_pending(tmp_path: Path, blobs: Blobs) -> None:
    assert take_in(blobs, listed(None))["reason"] == "file_missing"
    assert take_in(blobs, listed(tmp_path / "gone.png"))["reason"] == "file_missing"


def test_a_file_that_is_not_read_is_missing_and_says_why(blobs: Blobs) -> None:
    row = take_in(blobs, {**listed(None), "problem": "0001/1.png is a symbolic link to nothing"})
    assert (row["state"], row["reason"]) == ("pending", "file_missing")
    assert row["detail"] == "0001/1.png is a symbolic link to nothing"


def test_a_file_that_changes_while_it_is_read_is_pending(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, {**write(tmp_path, PNG), "size": 3})

    assert (row["state"], row["reason"]) == ("pending", "changed_while_read")


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, blobs: Blobs) -> None:
    assert take_in(blobs, write(tmp_path, PNG), max_bytes=10)["reason"] == "too_large"


def test_a_damaged_member_is_quarantined_and_its_neighbour_is_not(tmp_path: Path, blobs: Blobs) -> None:
    with zipfile.ZipFile(tmp_path / "niji.zip", "w") as archive:
        archive.writestr("a.png", PNG)
        archive.writestr("b.png", picture(3))
    content = (tmp_path / "niji.zip").read_bytes()
    at = content.index(PNG) + 40
    (tmp_path / "niji.zip").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])

    damaged = take_in(blobs, listed(Path(f"{tmp_path}/niji.zip!a.png")))
    whole = take_in(blobs, listed(Path(f"{tmp_path}/niji.zip!b.png"), len(picture(3))))
    assert (damaged["state"], damaged["reason"]) == ("quarantined", "unreadable_file")
    assert whole["state"] == "stored"


def test_a_referenced_file_is_read_where_it_lies_and_proven_to_be_the_same(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, write(tmp_path, PNG), store="reference")
    assert row["path"] == str(tmp_path / "7.png")
    assert read_raw(blobs, row) == PNG
    (tmp_path / "7.png").write_bytes(picture(9))

    with pytest.raises(UnusableFile, match="rebuild raw_images"):
        read_raw(blobs, row)


def test_facts_of_a_whole_image_fit_the_table(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, write(tmp_path, PNG))
    [facts] = Judge(blobs, LIMITS)([row])

    frame = IMAGE_FACTS.frame([facts])
    assert frame.select("error", "width", "height", "frames", "is_blank").row(0) == (None, 48, 40, 1, False)


def test_a_training_image_is_stored_and_its_row_fits_the_table(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, write(tmp_path, picture(5, (300, 200))))
    [made] = Prepare(blobs, TrainingRecipe(max_side=100), LIMITS)([row])

    frame = TRAINING_IMAGES.frame([made])
    assert frame.select("error", "width", "height", "upright_width").row(0) == (None, 100, 67, 300)
    assert hashlib.sha256(blobs.get(made["path"])).hexdigest() == made["sha256"]


@pytest.mark.parametrize("function", ["judge", "prepare"])
def test_a_stored_file_that_is_gone_or_changed_is_an_error_in_its_row(
    tmp_path: Path, blobs: Blobs, function: str
) -> None:
    work = Judge(blobs, LIMITS) if function == "judge" else Prepare(blobs, TrainingRecipe(), LIMITS)
    row = take_in(blobs, write(tmp_path, PNG))
    (blobs.root / row["path"]).write_bytes(picture(8))
    [changed] = work([row])
    (blobs.root / row["path"]).unlink()
    [gone] = work([row])

    assert (changed["error"], gone["error"]) == ("damaged_file", "missing_file")


PICTURES = {
    "png": picture(5, (300, 200)),
    "jpeg": picture(6, (1200, 900), "JPEG"),
    "webp": picture(7, (300, 200), "WEBP"),
    "cut short": picture(6, (1200, 900), "JPEG")[:-300],
    "no image": b"\x89PNG\r\n\x1a\n" + bytes(50),
}


@pytest.mark.parametrize("name", PICTURES)
def test_both_in_one_pass_are_what_each_alone_would_be(tmp_path: Path, blobs: Blobs, name: str) -> None:
    row = take_in(blobs, write(tmp_path, PICTURES[name]))
    judge, prepare = Judge(blobs, LIMITS), Prepare(blobs, TrainingRecipe(max_side=100), LIMITS)

    assert JudgeAndPrepare(judge, prepare)([row]) == [
        {"image_facts": judge([row])[0], "training_images": prepare([row])[0]}
    ]


def test_a_stored_file_that_is_gone_is_an_error_in_both_rows(tmp_path: Path, blobs: Blobs) -> None:
    row = take_in(blobs, write(tmp_path, PNG))
    (blobs.root / row["path"]).unlink()
    judge, prepare = Judge(blobs, LIMITS), Prepare(blobs, TrainingRecipe(), LIMITS)

    assert JudgeAndPrepare(judge, prepare)([row]) == [
        {"image_facts": judge([row])[0], "training_images": prepare([row])[0]}
    ]


def test_one_pass_reads_a_file_once(tmp_path: Path, blobs: Blobs) -> None:
    class Counted(Blobs):
        reads = 0

        def get(self, path: str) -> bytes:
            Counted.reads += 1
            return super().get(path)

    row = take_in(blobs, write(tmp_path, PNG))
    counted = Counted(blobs.root)
    JudgeAndPrepare(Judge(counted, LIMITS), Prepare(counted, TrainingRecipe(), LIMITS))([row])
    assert Counted.reads == 1


def test_a_training_image_is_the_same_in_another_process(tmp_path: Path, blobs: Blobs) -> None:
    rows = [take_in(blobs, write(tmp_path, PICTURES[name])) for name in ("png", "jpeg", "webp")]
    prepare = Prepare(blobs, TrainingRecipe(max_side=100), LIMITS)
    [batch] = LocalEngine(workers=1).run(prepare, [rows])

    assert batch.results == prepare(rows)


def test_rows_of_lost_workers_fit_their_tables() -> None:
    row = listed(None, sha256="0" * 64)

    assert is_lawful(*(lost_raw_image(row, "worker_died")[key] for key in ("state", "reason")))
    RAW_IMAGES.frame([lost_raw_image(row, "worker_timeout")])
    IMAGE_FACTS.frame([lost_facts(row, "worker_died")])
    TRAINING_IMAGES.frame([lost_training_image(row, "worker_timeout")])
