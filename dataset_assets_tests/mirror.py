"""A small Danbooru mirror and a small Niji zip for tests, whose posts and files can be changed one by one."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
from PIL import Image

from dataset_assets.compute.fetch_inputs import Mode
from dataset_assets.config import DatasetConfig, load_config
from dataset_assets.definitions import build
from dataset_assets.rebuild import Outcome, Rebuild
from dataset_assets.storage.tables import Cell, Commit, Tables

CONFIG = """
root: ./data
sources:
  danbooru:
    kind: danbooru
    metadata: metadata/*.json
    images: original
    store: {store}
    years: 2005..2007
    license: {{name: various, basis: site terms}}
  pixiv_niji:
    kind: gallery_dl
    images: niji.zip
    years: [2022]
    license: {{name: AGPL-3.0, basis: claimed by the compiler, redistribute: true}}
clip: {{model: "local-dir:tiny-clip-random", pretrained: null, random_weights: true, batch_size: 4}}
workers: 2
subsets:
  girls: {{tags: "1girl -solo_focus", where: "width >= 32 and not is_blank"}}
  everything: {{}}
"""


def picture(seed: int, size: tuple[int, int] = (48, 40), form: str = "PNG") -> bytes:
    """A small picture of random blocks, the same for the same seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    with io.BytesIO() as buffer:
        Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).save(buffer, form)
        return buffer.getvalue()


# The way from an export to a subset, without what stands beside it: less than half of a whole rebuild's steps.
MAIN_LINE = (
    "source_snapshot",
    "rejected_records",
    "vanished_records",
    "tag_relations",
    "image_metadata",
    "tag_decisions",
    "tag_metadata",
    "tag_vocabulary",
    "raw_images",
    "image_facts",
    "training_images",
    "clip_embeddings",
    "subset/everything",
    "subset/girls",
    "catalog",
)


@dataclass
class Mirror:
    """Sources, dataset.yaml and a root in one folder; `rebuild` runs what `dataset-assets rebuild` runs."""

    folder: Path
    posts: dict[int, dict[str, Any]] = field(default_factory=dict)
    name: str = "dataset"  # of the settings; another name is another root over the same sources
    assets: tuple[str, ...] | None = None  # what its rebuilds build; None = everything

    @classmethod
    def make(cls, folder: Path, *, store: str = "copy", posts_by_year: int = 3) -> "Mirror":
        from dataset_assets.sample.tiny_clip import write_tiny_clip

        mirror = cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dataset.yaml").write_text(CONFIG.format(store=store), "utf-8")
        write_tiny_clip(folder / "tiny-clip-random")
        for year in (2005, 2006, 2007):
            for number in range(posts_by_year):
                mirror.add_post(1000 * (year - 2000) + number, year, ["1girl", f"tag_{number}"])
        mirror.write_metadata()
        mirror.write_niji([(77, 0), (77, 1), (78, 0)])
        return mirror

    def add_post(
        self, post_id: int, year: int, tags: list[str], *, data: bytes | None = None, ext: str = "png"
    ) -> None:
        data = picture(post_id) if data is None else data
        self.posts[post_id] = {
            "id": str(post_id),
            "created_at": f"{year}-03-01 10:00:00.5 UTC",
            "updated_at": f"{year}-03-01 10:00:00.5 UTC",
            "rating": "s",
            "score": "7",
            "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
            "file_ext": ext,
            "image_width": "48",
            "image_height": "40",
            "file_size": str(len(data)),
            "tags": [{"id": str(len(tag)), "name": tag, "category": "0"} for tag in tags],
            "parent_id": "0",
            "pixiv_id": "0",
            "pools": [],
            "favs": [],
            "source": "",
            "is_deleted": False,
            "is_banned": False,
        }
        self.image_file(post_id).parent.mkdir(parents=True, exist_ok=True)
        self.image_file(post_id).write_bytes(data)

    def image_file(self, post_id: int) -> Path:
        return self.folder / "original" / f"{post_id % 1000:04d}" / f"{post_id}.{self.posts[post_id]['file_ext']}"

    def set_tags(self, post_id: int, tags: list[str]) -> None:
        self.posts[post_id]["tags"] = [{"id": "1", "name": tag, "category": "0"} for tag in tags]
        self.write_metadata()

    def write_metadata(self) -> None:
        (self.folder / "metadata").mkdir(exist_ok=True)
        lines = "\n".join(json.dumps(post) for _, post in sorted(self.posts.items()))
        (self.folder / "metadata" / "posts.json").write_text(lines, "utf-8")

    def write_relations(self, *implications: tuple[str, str]) -> None:
        """Give the Danbooru source implications: each first tag implies the second."""
        record = {"status": "active", "created_at": "2013-02-16T03:42:15.559-05:00"}
        lines = [
            json.dumps({"id": number, "antecedent_name": tag, "consequent_name": implied, **record})
            for number, (tag, implied) in enumerate(implications, 1)
        ]
        (self.folder / "implications.json").write_text("\n".join(lines), "utf-8")
        settings = self.config_file.read_text("utf-8")
        if "tag_relations" not in settings:
            line = "    images: original\n"
            self.config_file.write_text(
                settings.replace(line, f"{line}    tag_relations: {{implications: implications.json}}\n"), "utf-8"
            )

    def write_niji(self, pages: list[tuple[int, int]]) -> None:
        with zipfile.ZipFile(self.folder / "niji.zip", "w") as archive:
            for work, page in pages:
                name = f"nijijourney/{work}_p{page}.png"
                sidecar = {
                    "id": work, "num": page, "page_count": 2, "title": "夜", "caption": "", "category": "pixiv",
                    "create_date": "2022-11-09T02:04:04+09:00", "date": "2022-11-08 17:04:04", "extension": "png",
                    "filename": f"{work}_p{page}", "tags": ["女の子", "1girl"], "x_restrict": 0, "rating": "General",
                    "user": {"id": 5, "name": "画家", "account": "painter"}, "width": 48, "height": 40,
                    "type": "illust",
                    "total_bookmarks": 10, "total_view": 100, "illust_ai_type": 2, "sanity_level": 2,
                }  # fmt: skip
                archive.writestr(zipfile.ZipInfo(name), picture(100 * work + page))
                archive.writestr(zipfile.ZipInfo(f"{name}.json"), json.dumps(sidecar, ensure_ascii=False, indent=4))

    @property
    def config(self) -> DatasetConfig:
        return load_config(self.config_file)

    @property
    def config_file(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    @property
    def root(self) -> Path:
        return self.config.root_path

    def with_root(self, name: str) -> "Mirror":
        """The same sources, built into a root of their own."""
        settings = (self.folder / "dataset.yaml").read_text("utf-8")
        (self.folder / f"{name}.yaml").write_text(settings.replace("root: ./data", f"root: ./{name}"), "utf-8")
        return Mirror(self.folder, self.posts, name, self.assets)

    @property
    def definitions(self) -> dg.Definitions:
        return build(self.config)

    @property
    def tables(self) -> Tables:
        return Tables(self.root)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """What remembers this mirror's runs: in memory, where a run costs a tenth of one on disk."""
        return dg.DagsterInstance.ephemeral()

    def rebuild(
        self, instance: dg.DagsterInstance | None = None, *, strict: bool = True, fetch: Mode = "due", **arguments: Any
    ) -> list[Outcome]:
        """Rebuild all declared cells. Fails the test when a partition failed, unless it is to look itself."""
        work = Rebuild(self.definitions, self.config, instance or self.instance, lambda line: None, fetch)
        outcomes = list(work.run(self.config.cells(), **{"assets": self.assets, **arguments}))
        errors = [error for outcome in outcomes for error in outcome.errors]
        assert not (strict and errors), "\n".join(errors)
        return outcomes

    def table(self, name: str, cell: Cell | None = None) -> pl.DataFrame:
        """A table's rows, of one cell or of all with source and year."""
        if cell is not None:
            return pl.read_parquet(self.tables.file(name, cell), hive_partitioning=False)
        rows = self.tables.scan_all(name)
        assert rows is not None, f"{name} is not built"
        return rows.collect()

    def told(self, name: str) -> dict[str, Any]:
        """What an asset's last materialization says of itself."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None
        assert event.asset_materialization is not None
        return {key: value.value for key, value in event.asset_materialization.metadata.items()}

    def commits(self, name: str) -> dict[Cell, Commit]:
        found = {cell: self.tables.commit_of(name, cell) for cell in self.tables.cells(name)}
        return {cell: commit for cell, commit in found.items() if commit is not None}
