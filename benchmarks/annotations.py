"""How fast training images become CLIP vectors, beside the model alone and beside clip-retrieval.

    python -m benchmarks.annotations --clip-retrieval benchmarks/_data/clip-retrieval/bin/python
    python -m benchmarks.annotations --device cuda

The model's weights are RANDOM: its vectors mean nothing, its arithmetic costs what that of a trained one costs. Each
contender is a process of its own, round by round. CPU counts where the model runs on the processor, time on a GPU.
"""

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.clip_contenders import Task
from benchmarks.drawn_images import line_art, photo

# What one image costs the image side: 2 x multiply-adds. Source: open_clip, docs/model_profile.csv
GFLOP = {"ViT-B-32-quickgelu": 8.8, "ViT-B-16-quickgelu": 35.1, "ViT-L-14-quickgelu": 162.0}
PEAK_TFLOPS = {"H100": 989, "H200": 989, "A100": 312, "L40S": 362, "L4": 121}  # dense bf16, as NVIDIA states it
PICTURES = 48  # drawn; more are further names of these
HERE = Path(__file__).parent


def make_images(folder: Path, count: int) -> None:
    """Training images as the defaults make them: JPEGs of 512 pixels; the same every time."""
    from dataset_assets.domain.training import TrainingRecipe, prepare

    folder.mkdir(parents=True, exist_ok=True)
    for extra in sorted(folder.iterdir())[count:]:
        extra.unlink()
    for number in range(count):
        file, first = folder / f"{number:07}.jpg", folder / f"{number % PICTURES:07}.jpg"
        if not file.exists() and file != first:
            os.link(first, file)
        elif not file.exists():
            rng = np.random.default_rng(number)
            side, kind = int(rng.integers(700, 1100)), photo if number % 2 else line_art
            buffer = io.BytesIO()
            kind(rng, side, int(side * rng.uniform(0.6, 1.6))).convert("RGB").save(buffer, "PNG", compress_level=1)
            file.write_bytes(prepare(buffer.getvalue(), TrainingRecipe()).bytes)


def make_model(folder: Path, name: str) -> None:
    """An open_clip model with random weights, as a folder that says so."""
    if (folder / "open_clip_config.json").exists():
        return
    import open_clip
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    model = open_clip.create_model(name, load_weights=False)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    config = {"weights": "random", "model_cfg": open_clip.get_model_config(name)}
    config["preprocess_cfg"] = {**model.visual.preprocess_cfg, "mean": list(model.visual.preprocess_cfg["mean"])}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2), "utf-8")


def run(task: Task, python: str = sys.executable) -> dict[str, Any]:
    """A contender's costs. Raises: RuntimeError when it fails."""
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])] if python == sys.executable else []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    command = [python, "-W", "ignore", str(HERE / "clip_contenders.py"), json.dumps(asdict(task))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{task.name} ended with {done.returncode}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--model", choices=list(GFLOP), help="default: ViT-L-14 on a GPU, else ViT-B-32")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--images", type=int, help="default: 20,000 on a GPU, else 96")
    parser.add_argument("--batch", type=int, help="default: 256 on a GPU, else 32")
    parser.add_argument("--readers", type=int, default=os.cpu_count() or 1, help="processes that decode")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clip-retrieval", metavar="PYTHON", help="of an environment that has it")
    parser.add_argument("--data", type=Path, default=Path("benchmarks/_data/annotations"))
    asked = parser.parse_args(arguments)
    task = _task(asked)
    make_images(Path(task.images), asked.images or (20_000 if asked.device == "cuda" else 96))
    make_model(Path(task.folder), task.model)
    _say(f"{task.model} with RANDOM WEIGHTS: its vectors mean nothing, only what they cost is measured here")
    _say(f"{len(task.files)} images of 512 pixels, batches of {task.batch_size}, {asked.device}, {asked.precision}")
    contenders = {"forward": sys.executable, "ours": sys.executable}
    if asked.device == "cuda":
        contenders = {"readers": sys.executable, **contenders}
    if asked.clip_retrieval:
        contenders["clip_retrieval"] = asked.clip_retrieval
    costs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(asked.rounds):
        for name, python in contenders.items():
            costs[name].append(run(replace(task, name=name), python))
            cost = costs[name][-1]
            _say(f"  {name}: {cost['cpu']:.1f} CPU seconds, {cost['wall']:.1f} s")
    _report(task, costs)
    _compare(task)


def _task(asked: argparse.Namespace) -> Task:
    on_gpu = asked.device == "cuda"
    model = asked.model or ("ViT-L-14-quickgelu" if on_gpu else "ViT-B-32-quickgelu")
    data = asked.data.absolute()
    (data / "out").mkdir(parents=True, exist_ok=True)
    return Task(
        name="",
        model=model,
        folder=str(data / model),
        images=str(data / "images"),
        out=str(data / "out"),
        batch_size=asked.batch or (256 if on_gpu else 32),
        precision=asked.precision,
        device=asked.device,
        readers=asked.readers,
    )


def _report(task: Task, costs: dict[str, list[dict[str, Any]]]) -> None:
    """Images a second of each contender, and what ours reaches of the others'."""
    count, unit = len(task.files), "wall" if task.device == "cuda" else "cpu"
    for name, rounds in costs.items():
        wall, cpu = (median(one[key] for one in rounds) for key in ("wall", "cpu"))
        rates = f"{name:15} {count / wall:9.1f} images/s {count / cpu:9.1f} images/cpu-s"
        _say(rates + _flops(task, name, count / wall))
    for name in costs.keys() - {"ours"}:
        ratios = [other[unit] / own[unit] for other, own in zip(costs[name], costs["ours"], strict=True)]
        _say(f"ours against {name}: x{median(ratios):.2f} by {unit} (rounds: {', '.join(f'{r:.2f}' for r in ratios)})")
    _say(f"our model worked {100 * median(one['working_share'] for one in costs['ours']):.0f} % of the time")


def _flops(task: Task, name: str, rate: float) -> str:
    """The arithmetic done, and on a known GPU its share of what that can do."""
    if task.device != "cuda" or name == "readers":
        return ""
    import torch

    done, device = rate * GFLOP[task.model] / 1000, torch.cuda.get_device_name()
    peak = next((peak for known, peak in PEAK_TFLOPS.items() if known in device), None)
    if peak is None:
        return f" {done:,.0f} TFLOP/s"
    limit = f"the limit of {device} is {peak * 1000 / GFLOP[task.model]:,.0f} images/s"
    return f" {done:,.0f} TFLOP/s, {done / peak:.0%} of {peak}; {limit}"


def _compare(task: Task) -> None:
    """The cosine of our vectors, and clip-retrieval's, to those by the official transform in float32."""
    run(replace(task, name="official"))
    out = Path(task.out)
    official = np.load(out / "official.npy")
    for name, file in (("ours", out / "ours.npy"), ("clip_retrieval", out / "img_emb" / "img_emb_0.npy")):
        if file.exists():
            vectors = np.load(file).astype(np.float32)
            cosines = (vectors * official).sum(axis=1) / np.linalg.norm(vectors, axis=1)
            _say(f"{name}: cosine to the official preprocessing in float32 at least {cosines.min():.6f}")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
