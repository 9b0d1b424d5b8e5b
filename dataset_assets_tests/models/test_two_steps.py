"""Shards that are read in one place and worked on in another: the same rows, whoever reads."""

import io
import os
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dataset_assets.compute.engine import Engine
from dataset_assets.compute.local import LocalEngine
from dataset_assets.compute.model_engine import ModelEngine, ThreadEngine
from dataset_assets.models.agreement import AgreementShard
from dataset_assets.models.blip_files import BlipSettings
from dataset_assets.models.captioning import CaptionShard
from dataset_assets.models.clip_weights import ClipSettings
from dataset_assets.models.coca import CocaSettings
from dataset_assets.models.tagger import TagShard
from dataset_assets.models.tagger_files import TaggerSettings
from dataset_assets_tests.models.tiny_models import TINY_CLIP, TINY_COCA, make_blip_dir, make_local_dir
from dataset_assets_tests.models.tiny_taggers import write_tiny_onnx, write_tiny_timm

KINDS = ["coca", "blip", "onnx", "timm", "agreement"]
BATCH = 4


@dataclass(frozen=True)
class Files:
    """Files in memory, read as the store reads them; one of them kills whoever reads it."""

    content: dict[str, bytes]

    def __call__(self, path: str) -> bytes:
        if path == "kills":
            os._exit(1)
        if path not in self.content:
            raise FileNotFoundError(path)
        return self.content[path]


def pictures() -> dict[str, bytes]:
    """Ten pictures of noise in the shapes and modes of training images, and one that is cut off."""
    rng = np.random.default_rng(5)
    made = {}
    for number in range(10):
        shape = (30 + 9 * number, 120 - 7 * number) + ((3,) if number % 3 else ())
        with io.BytesIO() as buffer:
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(buffer, "PNG")
            made[str(number)] = buffer.getvalue()
    return {**made, "cut": made["1"][:60]}


FILES = Files(pictures())


def rows_of(*paths: str) -> list[dict[str, Any]]:
    vector = np.linspace(-1, 1, TINY_CLIP["embed_dim"]).tolist()
    return [{"image_id": f"a-{path}-0", "path": path, "embedding": vector} for path in paths]


ROWS = rows_of("0", "1", "cut", "2", "3", "4", "gone", "5", "6", "7", "8", "9")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A shard of each kind, with a tiny model."""
    folder = tmp_path_factory.mktemp("models")
    make_local_dir(folder / "clip", TINY_CLIP)
    make_local_dir(folder / "coca", TINY_COCA, gain=2.0)
    clip = ClipSettings("local-dir:clip", None, "cpu", BATCH, True, folder)
    coca = ClipSettings("local-dir:coca", None, "cpu", BATCH, True, folder, block="captioner")
    shards = {"agreement": AgreementShard(FILES, clip), "coca": CaptionShard(FILES, CocaSettings(coca, max_length=9))}
    for name, write in (("onnx", write_tiny_onnx), ("timm", write_tiny_timm)):
        shards[name] = TagShard(FILES, TaggerSettings(str(write(folder / name)), 0.05, BATCH, "cpu", folder))
    try:
        make_blip_dir(folder / "blip", gain=3.0)
    except ImportError:
        return shards
    blip = BlipSettings("local-dir:blip", "cpu", BATCH, True, folder, max_length=12)
    return {**shards, "blip": CaptionShard(FILES, blip)}


@pytest.fixture(params=KINDS)
def shard(request: pytest.FixtureRequest, shards: dict[str, Any]) -> Any:
    return of_kind(shards, request.param)


def of_kind(shards: dict[str, Any], kind: str) -> Any:
    if kind not in shards:
        pytest.skip("the extra `blip` is not installed")
    return shards[kind]


def by_id(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["image_id"]: row for row in rows}


@pytest.mark.parametrize("readers", [ThreadEngine(2), LocalEngine(1)], ids=["threads", "processes"])
def test_rows_are_the_same_whoever_reads(shard: Any, readers: Engine) -> None:
    expected = shard(ROWS)
    made = [
        row
        for batch in ModelEngine(lambda: readers, BATCH).run(shard, [ROWS[:5], ROWS[5:8], ROWS[8:]])
        for row in batch.results
    ]

    assert by_id(made) == by_id(expected)
    assert [row["image_id"] for row in expected] == [row["image_id"] for row in ROWS]
    assert [row["error"] for row in expected if row["error"]] == ["undecodable", "missing_file"]


# What a loss becomes is the engine's part, and one reader shows it; the others wait for the long suite.
@pytest.mark.parametrize("kind", ["agreement", *(pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS[:-1])])
def test_an_image_that_kills_its_reader_is_lost_and_no_other(shards: dict[str, Any], kind: str) -> None:
    shard = of_kind(shards, kind)
    hostile = [*rows_of("0", "kills", "1"), *rows_of("2")]
    found = list(ModelEngine(lambda: LocalEngine(1), BATCH).run(shard, [hostile]))

    assert [(row["image_id"], why) for batch in found for row, why in batch.lost] == [("a-kills-0", "worker_died")]
    assert by_id([row for batch in found for row in batch.results]) == by_id(shard(rows_of("0", "1", "2")))


def test_readers_need_no_model_and_no_torch(shards: dict[str, Any]) -> None:
    told = pickle.dumps({name: shard.reader() for name, shard in shards.items()})
    assert len(told) < 2 * sum(map(len, FILES.content.values())), "the pictures, once, and little else"
    code = (
        "import pickle, sys\n"
        "for name, reader in pickle.load(sys.stdin.buffer).items():\n"
        "    [made] = reader([{'image_id': 'a', 'path': '1', 'embedding': [1.0]}])\n"
        "    assert made['input'].dtype == 'uint8', (name, made)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=told, check=True, timeout=60)
