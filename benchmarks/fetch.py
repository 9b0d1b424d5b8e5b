"""How fast images are fetched: ours with every guard on, img2dataset without re-encoding, and curl, which only fetches.

`python -m benchmarks.fetch` starts a server on loopback, has each contender fetch the same images in a process of its
own, by turns, and prints CPU (of the client alone) and wall seconds, medians of some rounds. img2dataset lives in a
virtual environment of its own, which `--img2dataset` names; without one, it is left out.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.processes import Cost

AT_ONCE = 64
REPOSITORY = Path(__file__).parents[1]


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scratch", type=Path, default=REPOSITORY / "benchmarks" / "_data", help="where images go")
    parser.add_argument("--img2dataset", type=Path, help="a Python that has img2dataset")
    parser.add_argument("--ours", nargs=2, metavar=("URL", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ours:
        fetch_ours(options.ours[0], options.images, Path(options.ours[1]))
    else:
        compare(options.images, options.rounds, options.img2dataset, options.scratch)


def compare(images: int, rounds: int, img2dataset: Path | None, scratch: Path) -> None:
    """Print what each contender costs."""
    contenders = ["curl", "ours", *(["img2dataset"] if img2dataset else [])]
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    scratch.mkdir(parents=True, exist_ok=True)
    # Nothing is removed before the end: ext4 looks long for a free inode where many were freed a moment ago, and who
    # comes after one that left thousands of files would pay for it.
    with server() as url, TemporaryDirectory(dir=scratch) as place:
        for turn in range(rounds):
            for name in contenders:
                folder = Path(place) / f"{turn}-{name}"
                folder.mkdir()
                costs[name].append(run(command(name, url, images, folder, img2dataset), folder))
                found = kept(folder, name)
                if found < images:
                    raise RuntimeError(f"{name} kept {found} of {images} images")
    sys.stdout.write(report(images, rounds, {name: Cost.of(found) for name, found in costs.items()}))


def report(images: int, rounds: int, costs: dict[str, Cost]) -> str:
    """The costs as text, and how ours compares."""
    lines = [
        f"{images:,} images of 76 kB from loopback, {AT_ONCE} at once, medians of {rounds} rounds",
        f"{'':>14}{'wall s':>9}{'CPU s':>9}{'img/s':>9}{'img/CPU-s':>11}{'MB':>7}",
    ]
    for name, cost in costs.items():
        rates = f"{images / cost.wall:>9,.0f}{images / cost.cpu:>11,.0f}"
        lines.append(f"{name:>14}{cost.wall:>9.2f}{cost.cpu:>9.2f}{rates}{cost.memory:>7.0f}")
    ours = costs["ours"]
    others = [(name, cost.cpu / ours.cpu, cost.wall / ours.wall) for name, cost in costs.items() if name != "ours"]
    lines += [f"ours to {name}: {cpu:.2f}x by CPU, {wall:.2f}x by wall" for name, cpu, wall in others]
    return "\n".join(lines) + "\n"


def command(name: str, url: str, images: int, folder: Path, img2dataset: Path | None) -> list[str]:
    """What starts a contender."""
    if name == "curl":
        files = f"{url}/[0-{images - 1}].jpg"
        return ["curl", "-sS", "-Z", "--parallel-max", str(AT_ONCE), "-o", str(folder / "#1.jpg"), files]
    if name == "ours":
        return [sys.executable, "-m", "benchmarks.fetch", "--images", str(images), "--ours", url, str(folder)]
    listed = folder / "urls.txt"
    listed.write_text("".join(f"{url}/{number}.jpg\n" for number in range(images)), "utf-8")
    options = "--output_format webdataset --disable_all_reencoding True --processes_count 1 --compute_hash sha256"
    places = ["--url_list", str(listed), "--output_folder", str(folder / "out"), "--thread_count", str(AT_ONCE)]
    return [str(img2dataset), "-c", "from img2dataset.main import main; main()", *places, *options.split()]


def kept(folder: Path, name: str) -> int:
    """How many images a contender has kept."""
    if name == "img2dataset":
        found = 0
        for file in folder.glob("out/*.tar"):
            with tarfile.open(file) as archive:
                found += sum(name.endswith(".jpg") for name in archive.getnames())
        return found
    return sum(1 for _ in folder.rglob("*.jpg"))


def run(arguments: list[str], folder: Path) -> Cost:
    """Run a contender to its end. Raises: RuntimeError when it fails."""
    began = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=REPOSITORY)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {process.returncode}: {(folder / 'log').read_text()[-2000:]}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began, used.ru_maxrss / 1024)


@contextmanager
def server() -> Iterator[str]:
    """The server, in a process of its own, while the block runs."""
    program = [sys.executable, "-m", "benchmarks.fetch_server"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def fetch_ours(url: str, images: int, root: Path) -> None:
    """Fetch as `raw_images` does, from its inputs to the committed table; the guard lets loopback through."""
    import polars as pl

    from dataset_assets.compute.fetch_engine import FetchEngine
    from dataset_assets.compute.fetch_inputs import FETCH_VERSION, ROWS_PER_BATCH, with_what_is_held
    from dataset_assets.compute.fetch_journal import JournaledEngine
    from dataset_assets.compute.fetch_work import KeepFetched, never_lost
    from dataset_assets.compute.update import Job, Recipe, update
    from dataset_assets.config import Fetch
    from dataset_assets.domain.schemas import RAW_IMAGES
    from dataset_assets.storage.blobs import Blobs
    from dataset_assets.storage.tables import Cell, Tables

    ids = [f"{number:08d}" for number in range(images)]
    listed = pl.DataFrame(
        {"image_id": [f"pd12m-{name}-0" for name in ids], "location": [f"{url}/{n}.jpg" for n in range(images)]}
    ).with_columns(file_ext=pl.lit("jpg"), md5=pl.lit(None, pl.String), taken_down=pl.lit(None, pl.String))
    settings = Fetch(allow_addresses=("127.0.0.1/32",), rate_per_host=None, per_host=AT_ONCE, concurrency=AT_ONCE)
    tables, blobs, cell = Tables(root), Blobs(root), Cell("pd12m", 2024)
    engine = JournaledEngine(FetchEngine(settings, tables.scratch), RAW_IMAGES, root / "journal", blobs.size)
    recipe = Recipe({"version": FETCH_VERSION}, KeepFetched(blobs), never_lost, rows_per_batch=ROWS_PER_BATCH)
    inputs = with_what_is_held(listed, tables.scan(RAW_IMAGES, cell))
    made = update(tables, cell, Job(RAW_IMAGES, inputs, recipe), engine, sys.stderr.write)
    tables.commit(made.staged, "benchmark")


if __name__ == "__main__":
    main()
