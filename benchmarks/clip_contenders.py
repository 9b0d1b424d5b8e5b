"""One way to embed a folder of images, in a process of its own: `python clip_contenders.py '{"name": ..., ...}'`.

The model is built, and one batch embedded to warm up, before the clock starts. Prints as JSON what the rest took: CPU
seconds of this process and of the children that it waited for, and wall seconds. Nothing of the package is imported at
the start, for the sake of clip-retrieval, which has an environment of its own.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Way = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Task:
    """What is to be embedded, with what, and where the vectors go (in the order of the files' names)."""

    name: str  # of the contender
    model: str  # an architecture of open_clip
    folder: str  # of the model
    images: str
    out: str
    batch_size: int
    precision: str
    device: str
    readers: int

    @property
    def files(self) -> list[Path]:
        return sorted(Path(self.images).iterdir())


def clip_retrieval(task: Task) -> Way:
    """clip-retrieval's own reader, mapper, writer and loop, over the same weights; all but the command line."""
    from all_clip import load_clip
    from clip_retrieval.clip_inference.mapper import ClipMapper
    from clip_retrieval.clip_inference.reader import FilesReader
    from clip_retrieval.clip_inference.runner import Runner
    from clip_retrieval.clip_inference.writer import NumpyWriter

    name = f"open_clip:{task.model}/{Path(task.folder).absolute()}/open_clip_model.safetensors"
    _, preprocess, tokenizer = load_clip(name, use_jit=False, warmup_batch_size=task.batch_size)
    mapper = ClipMapper(True, False, False, False, name, False, "", warmup_batch_size=task.batch_size)

    class Silent:
        def start(self) -> None: ...
        def end(self) -> None: ...
        def __call__(self, stats: dict[str, float]) -> None: ...

    runner = Runner(
        reader_builder=lambda sampler: FilesReader(
            sampler, preprocess, tokenizer, task.images, task.batch_size, task.readers, enable_text=False
        ),
        mapper_builder=lambda: mapper,
        writer_builder=lambda i: NumpyWriter(i, task.out, False, True, False, 1),
        logger_builder=lambda i: Silent(),
        output_partition_count=1,
    )

    def run() -> dict[str, Any]:
        runner(0)
        return {}

    return run


def ours(task: Task) -> Way:
    """What `clip_embeddings` runs on an engine, without the tables around it."""
    import numpy as np
    from PIL import Image

    from dataset_assets.assets.fed_models import readers_beside
    from dataset_assets.compute.model_engine import ModelEngine
    from dataset_assets.models.clip import EmbedShard, embedder_of
    from dataset_assets.models.model_inputs import ROWS_PER_READ
    from dataset_assets.storage.blobs import Blobs

    shard = EmbedShard(Blobs(Path(task.images)).get, _settings(task))
    embedder = embedder_of(shard.settings)
    embedder.embed([Image.new("RGB", (300, 200), "white")] * task.batch_size)
    rows = [{"image_id": file.name, "path": str(file)} for file in task.files]
    readers = readers_beside(embedder, task.readers)
    started = [[row] for row in rows[: 4 * task.readers]]  # the worker processes, where there are any
    list(readers.run(shard.reader(), started))

    def run() -> dict[str, Any]:
        engine = ModelEngine(lambda: readers, task.batch_size)
        reads = (rows[start : start + ROWS_PER_READ] for start in range(0, len(rows), ROWS_PER_READ))
        made = [row for batch in engine.run(shard, reads) for row in batch.results]
        made.sort(key=lambda row: str(row["image_id"]))
        np.save(Path(task.out) / "ours.npy", np.stack([row["embedding"] for row in made]))
        return {"working_share": engine.spent.working_share}

    return run


def readers(task: Task) -> Way:
    """Our readers alone: what a model that costs nothing would be fed with."""
    from dataset_assets.assets.fed_models import readers_beside
    from dataset_assets.models.clip import EmbedShard, embedder_of
    from dataset_assets.models.model_inputs import ROWS_PER_READ
    from dataset_assets.storage.blobs import Blobs

    shard = EmbedShard(Blobs(Path(task.images)).get, _settings(task))
    engine, reader = readers_beside(embedder_of(shard.settings), task.readers), shard.reader()
    rows = [{"image_id": file.name, "path": str(file)} for file in task.files]
    list(engine.run(reader, [[row] for row in rows[: 4 * task.readers]]))

    def run() -> dict[str, Any]:
        reads = (rows[start : start + ROWS_PER_READ] for start in range(0, len(rows), ROWS_PER_READ))
        return {"read": sum(len(batch.results) for batch in engine.run(reader, reads))}

    return run


def forward(task: Task) -> Way:
    """The model alone, over and over on one batch that lies ready on its device."""
    import torch

    from dataset_assets.models.clip import embedder_of, tower_function
    from dataset_assets.models.clip_loading import load
    from dataset_assets.models.clip_weights import find

    embedder = embedder_of(_settings(task))
    casts = embedder.precision == "bf16" and embedder.device == "cpu"
    model, _ = load(find(_settings(task)), embedder.device, "bf16" if casts else "fp32")
    module = tower_function(model.eval().requires_grad_(False).visual, None, embedder.device, embedder.precision)
    side = embedder.preprocessing.size if embedder.preprocessing else 224
    batch = torch.rand(task.batch_size, 3, side, side, device=embedder.device)

    def run() -> dict[str, Any]:
        with torch.inference_mode():
            for _ in range(0, len(task.files), task.batch_size):
                features = module(batch)
            return {"sum": float(features.float().sum())}  # waits for a GPU

    run()
    return run


def official(task: Task) -> Way:
    """open_clip's own transform and model in float32, with none of our code between: the vectors to compare with."""
    import numpy as np
    import open_clip
    import torch
    from PIL import Image

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{task.folder}", device=task.device)
    model.eval()

    def run() -> dict[str, Any]:
        vectors = []
        with torch.inference_mode():
            for start in range(0, len(task.files), task.batch_size):
                images = [transform(Image.open(file)) for file in task.files[start : start + task.batch_size]]
                vectors.append(model.encode_image(torch.stack(images).to(task.device), normalize=True).cpu().numpy())
        np.save(Path(task.out) / "official.npy", np.concatenate(vectors))
        return {}

    return run


def _settings(task: Task) -> Any:
    from dataset_assets.models.clip_weights import ClipSettings

    model, folder = f"local-dir:{task.folder}", Path.cwd()
    return ClipSettings(model, None, task.device, task.batch_size, True, folder, task.precision)  # type: ignore[arg-type]


WAYS = {way.__name__: way for way in (clip_retrieval, ours, readers, forward, official)}


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    """Run one contender, as the command line says."""
    task = Task(**json.loads(sys.argv[1]))
    run = WAYS[task.name](task)
    cpu, began = _cpu(), time.perf_counter()
    found = run()
    costs = {"wall": time.perf_counter() - began, "cpu": _cpu() - cpu}
    sys.stdout.write(f"\n{json.dumps(costs | found)}\n")


if __name__ == "__main__":
    main()
