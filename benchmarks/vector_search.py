"""Search among vectors, exact and by the index, beside faiss; and close pairs, beside torch's all with all.

    python -m benchmarks.vector_search --vectors 1000000 --pairs 100000

Vectors are drawn in one of two ways. `even`: around 4,000 centres, as far from them as these are long, in all
directions alike, which is hard for any index. `uneven`: as vectors of CLIP are known to lie, about one mean, most of
them along few directions, around centres of which few have most of the vectors. Seconds are of the clock, the best of
some rounds; where the machine is shared, the CPU seconds beside them say more. The bandwidth of memory is what a plain
sum of the same bytes reads.
"""

import argparse
import mmap
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from dataset_assets.domain.close_vectors import close_vectors
from dataset_assets.domain.vector_index import VectorIndex, pieces

CENTRES, LIMIT, QUERIES, LEAST = 4000, 10, 64, 0.96
ROUNDS = 3
AT_ONCE = 50_000


def main() -> None:
    """Draw, build, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--draw", choices=["even", "uneven"], default="even", help="how vectors are drawn")
    parser.add_argument("--pairs", type=int, default=100_000, help="vectors of 512 numbers; 0 = none")
    parser.add_argument("--faiss", action="store_true", help="compare with faiss, which needs four times the memory")
    options = parser.parse_args()
    if options.vectors:
        draw = Draw(options.dimensions, uneven=options.draw == "uneven")
        with tempfile.TemporaryDirectory(dir="benchmarks/_data") as folder:
            searches(draw, options.vectors, Path(folder), options.faiss)
    if options.pairs:
        all_pairs(options.pairs)


def say(name: str, seconds: tuple[float, float], more: str = "") -> None:
    """One line: what, seconds of the clock and of the processor."""
    sys.stdout.write(f"{name:44}{seconds[0] * 1000:12.1f} ms{seconds[1] * 1000:12.1f} cpu-ms  {more}\n")
    sys.stdout.flush()


def measured(function: Callable[[], Any], rounds: int = ROUNDS) -> tuple[tuple[float, float], Any]:
    """The best of some rounds, wall and CPU apart, and what the function gave."""
    walls, cpus, result = [], [], None
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        result = function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return (min(walls), min(cpus)), result


class Draw:
    """Vectors of length 1 around centres, and queries that are like some of them."""

    def __init__(self, dim: int, *, uneven: bool) -> None:
        self.dim, self.uneven, self.rng = dim, uneven, np.random.default_rng(0)
        falling = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
        self.spread = falling / np.linalg.norm(falling) if uneven else np.full(dim, dim**-0.5, np.float32)
        self.centres = self.rng.standard_normal((CENTRES, dim), dtype=np.float32) * self.spread
        shares = np.arange(1, CENTRES + 1, dtype=np.float64) ** (-0.8 if uneven else 0)
        self.shares = shares / shares.sum()
        mean = self.rng.standard_normal(dim, dtype=np.float32)
        self.mean = mean / np.linalg.norm(mean)

    def some(self, count: int) -> NDArray[np.float32]:
        """Vectors anew."""
        noise = self.rng.standard_normal((count, self.dim), dtype=np.float32) * self.spread
        around = self.centres[self.rng.choice(CENTRES, count, p=self.shares)]
        return unit(self.mean + 0.7 * around + 0.5 * noise if self.uneven else around + noise)

    def queries(self, vectors: NDArray[np.float16]) -> NDArray[np.float32]:
        """Of the even draw: vectors with noise, which else would be near to none; of the other, vectors anew."""
        if self.uneven:
            return self.some(QUERIES)
        like = vectors[self.rng.integers(0, len(vectors), QUERIES)].astype(np.float32)
        return unit(like + 0.5 * self.rng.standard_normal(like.shape, dtype=np.float32) * self.spread)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def drawn(draw: Draw, count: int, file: Path) -> NDArray[np.float16]:
    """Vectors in a mapped file."""
    vectors = np.memmap(file, np.float16, "w+", shape=(count, draw.dim))
    for start in range(0, count, AT_ONCE):
        vectors[start : start + AT_ONCE] = draw.some(min(AT_ONCE, count - start))
    return vectors


def searches(draw: Draw, count: int, folder: Path, with_faiss: bool) -> None:
    """One query and many, exact and quick."""
    vectors = drawn(draw, count, folder / "vectors")
    queries = draw.queries(vectors)
    index = built(vectors, folder / "index")
    index.search(queries, LIMIT, exact=True)  # compiled here, or read from where it is kept; and the pages are mapped
    index.search(queries[:1], LIMIT, exact=True)
    bandwidth, _ = measured(lambda: summed(index.vectors), 5)
    size = vectors.nbytes
    say("a plain sum of the bytes", bandwidth, f"{size / bandwidth[0] / 1e9:.1f} GB/s")
    one, _ = measured(lambda: index.search(queries[:1], LIMIT, exact=True), 5)
    say("exact, 1 query", one, f"{bandwidth[0] / one[0]:.2f} of the sum's bandwidth")
    many, exact = measured(lambda: index.search(queries, LIMIT, exact=True))
    say(f"exact, {QUERIES} queries", many)
    first, _ = measured(lambda: index.search(queries, LIMIT), 1)
    say(f"by the index, the first {QUERIES} of a process, each", (first[0] / QUERIES, first[1] / QUERIES))
    quick, found = measured(lambda: index.search(queries, LIMIT), 5)
    each = (quick[0] / QUERIES, quick[1] / QUERIES)
    recall = np.mean([len(set(a.rows) & set(b.rows)) / LIMIT for a, b in zip(found, exact, strict=True)])
    say("by the index, 1 query", each, f"{one[0] / each[0]:.1f}x exact, recall@{LIMIT} {recall:.4f}")
    if with_faiss:
        beside_faiss(vectors, queries, [hits.rows for hits in exact], many)


def built(vectors: NDArray[np.float16], file: Path) -> VectorIndex:
    """The index of the vectors in a mapped file."""

    def build() -> None:
        with file.open("wb") as stream:
            for piece in pieces(vectors, np.arange(len(vectors), dtype=np.uint32)):
                stream.write(piece)

    seconds, _ = measured(build, 1)
    say("building the index", seconds, f"{file.stat().st_size / 1e9:.2f} GB")
    with file.open("rb") as stream:
        return VectorIndex(memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)))


@numba.njit(parallel=True, fastmath=True)
def _sum(words: NDArray[np.uint64], sums: NDArray[np.uint64]) -> None:
    size = len(words) // len(sums)
    for part in numba.prange(len(sums)):
        total = np.uint64(0)
        for at in range(part * size, (part + 1) * size):
            total += words[at]
        sums[part] = total


def summed(vectors: NDArray[np.float16]) -> None:
    """Read all bytes once, on all cores."""
    _sum(vectors.reshape(-1).view(np.uint64), np.zeros(64, np.uint64))


def beside_faiss(
    vectors: NDArray[np.float16],
    queries: NDArray[np.float32],
    exact: list[NDArray[np.int64]],
    ours: tuple[float, float],
) -> None:
    """faiss's exact search and its clusters in half precision."""
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    for start in range(0, len(vectors), AT_ONCE):
        flat.add(vectors[start : start + AT_ONCE].astype(np.float32))
    one, _ = measured(lambda: flat.search(queries[:1], LIMIT))
    say("faiss Flat, 1 query", one)
    many, (_, rows) = measured(lambda: flat.search(queries, LIMIT), 2)
    agree = np.mean([len(set(a) & set(b)) / LIMIT for a, b in zip(rows, exact, strict=True)])
    say(f"faiss Flat, {QUERIES} queries", many, f"{many[0] / ours[0]:.1f}x ours; ours has {agree:.4f} of its rows")
    flat.reset()
    clusters = round(2 * len(vectors) ** 0.5)
    quantizer = faiss.IndexFlatIP(vectors.shape[1])
    index = faiss.IndexIVFScalarQuantizer(
        quantizer, vectors.shape[1], clusters, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )

    def build() -> None:
        index.cp.niter, index.cp.max_points_per_centroid = 4, 40
        index.train(vectors[:: max(1, len(vectors) // (40 * clusters))].astype(np.float32))
        for start in range(0, len(vectors), AT_ONCE):
            index.add(vectors[start : start + AT_ONCE].astype(np.float32))

    seconds, _ = measured(build, 1)
    say("faiss IVF-SQfp16, building", seconds)
    for share in (50, 10, 5):
        index.nprobe = max(16, round(clusters / share))
        quick, rows = measured(lambda: [index.search(query[np.newaxis], LIMIT)[1][0] for query in queries], 2)
        recall = np.mean([len(set(a) & set(b)) / LIMIT for a, b in zip(rows, exact, strict=True)])
        each = (quick[0] / QUERIES, quick[1] / QUERIES)
        say(f"faiss IVF-SQfp16, 1 query, 1/{share} of clusters", each, f"recall@{LIMIT} {recall:.4f}")


def all_pairs(count: int, dim: int = 512) -> None:
    """Close pairs among vectors of which a twentieth are copies with noise."""
    import torch

    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((CENTRES, dim), dtype=np.float32)[rng.integers(0, CENTRES, count)]
    vectors += 0.9 * rng.standard_normal((count, dim), dtype=np.float32)
    copies, of = rng.permutation(count)[: count // 20], rng.permutation(count)[: count // 20]
    noise = rng.uniform(0.05, 0.4, (len(copies), 1)).astype(np.float32)
    vectors[copies] = vectors[of] + noise * rng.standard_normal((len(copies), dim), dtype=np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    close_vectors(vectors[:100], LEAST)
    ours, pairs = measured(lambda: close_vectors(vectors, LEAST), 2)
    whole = torch.from_numpy(vectors).float()

    def by_torch() -> set[tuple[int, int]]:
        found = set()
        for start in range(0, count, 2048):
            rows, columns = (whole[start : start + 2048] @ whole.T >= LEAST).nonzero(as_tuple=True)
            found |= {(a + start, b) for a, b in zip(rows.tolist(), columns.tolist(), strict=True) if a + start > b}
        return found

    theirs, true = measured(by_torch, 1)
    mine = set(zip(pairs.later.tolist(), pairs.earlier.tolist(), strict=True))
    shares = f"{len(mine & true) / max(1, len(true)):.4f} of {len(true):,} pairs, {len(mine - true)} others"
    say(f"close pairs of {count:,}", ours, shares)
    say("torch, all with all", theirs, f"{theirs[0] / ours[0]:.1f}x the time, {theirs[1] / ours[1]:.1f}x the CPU")


if __name__ == "__main__":
    main()
