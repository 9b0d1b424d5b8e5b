"""All close pairs of many 64-bit hashes, and of one hundredth added to them, beside faiss's BinaryMultiHash.

    python -m benchmarks.near_duplicates --hashes 1000000 --pictures FOLDER

Three sets of hashes: evenly random ones, with copies of up to 6 flipped bits among them; and two drawn with the skew of
real pictures. For these, windows of real pictures are hashed, and the upper half of one hash is put upon the lower half
of another, so that flat parts weigh what they weigh: once with one bit in sixteen flipped, which leaves some like ones,
and once as they are, with many. One core, in CPU seconds, the least of some rounds, and what the hundredth costs as a
share of all. faiss looks up a sample; its time is stated for all.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dataset_assets.domain.close_hashes import close_pairs
from dataset_assets.domain.duplicates import LEAST_BITS
from dataset_assets.domain.hash_pairs import Hashes, Looks, Pairs

DISTANCES = (3, 6)
SIDE, SMALLEST = 128, 77  # of a picture, and of a window in it
LOOKED_UP = 5_000
MOST_PIXELS = 4_000_000


def main() -> None:
    """Draw, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hashes", type=int, default=1_000_000)
    parser.add_argument("--pictures", type=Path, help="a folder of pictures whose skew is drawn")
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts: others use the machine too")
    options = parser.parse_args()
    sets = {"evenly random": evenly(options.hashes)}
    if options.pictures is not None:
        alike = skewed(options.hashes, lumas(options.pictures))
        sets["skew of real pictures"] = with_noise(alike)
        sets["skew, and many alike"] = alike
    close_pairs(Looks.of_hashes(evenly(100)), 3)  # compiled here, or read from where it is kept
    close_pairs(Looks.of_hashes(evenly(100)), 3, held=98)
    sys.stdout.write(f"{'hashes':24}{'bits':>5}{'pairs':>12}{'all, s':>9}{'+1 %, s':>9}{'share':>8}{'faiss, s':>10}\n")
    for name, hashes in sets.items():
        for distance in DISTANCES:
            sys.stdout.write(f"{name:24}{distance:5}{measured(hashes, distance, options.rounds)}\n")
            sys.stdout.flush()


def measured(hashes: Hashes, distance: int, rounds: int) -> str:
    """One line: pairs, seconds for all of them, for the last hundredth, its share, and faiss's seconds."""
    looks, held = Looks.of_hashes(hashes), len(hashes) - len(hashes) // 100
    pairs, whole = timed(lambda: close_pairs(looks, distance), rounds)
    some, more = timed(lambda: close_pairs(looks, distance, held), rounds)
    if len(some.later) != int((pairs.later >= held).sum()):
        raise AssertionError("the two searches differ")
    return f"{len(pairs.later):12,}{whole:9.2f}{more:9.3f}{more / whole:8.1%}{by_faiss(hashes, distance)}"


def timed(search: Callable[[], Pairs], rounds: int) -> tuple[Pairs, float]:
    """What is found, and the CPU seconds of the fastest round."""
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        found = search()
        least = min(least, time.process_time() - began)
    return found, least


def by_faiss(hashes: Hashes, distance: int) -> str:
    """Seconds of BinaryMultiHash, exact up to 7 bits with one flip in each of four bands; from a sample."""
    try:
        import faiss
    except ImportError:
        return f"{'no faiss':>10}"
    faiss.omp_set_num_threads(1)
    codes = np.ascontiguousarray(hashes, "<u8").view(np.uint8).reshape(-1, 8)
    sample = np.ascontiguousarray(codes[:: max(1, len(codes) // LOOKED_UP)])
    began = time.process_time()
    index = faiss.IndexBinaryMultiHash(64, 4, 16)
    index.nflip = 1
    index.add(codes)
    built = time.process_time() - began
    began = time.process_time()
    index.range_search(sample, distance + 1)
    seconds = built + (time.process_time() - began) * len(codes) / len(sample)
    return f"{seconds:10.0f}"


def evenly(count: int) -> Hashes:
    """Random hashes, of which one in twenty is another with up to 6 bits flipped."""
    random = np.random.default_rng(0)
    hashes = random.integers(0, 1 << 64, count, dtype=np.uint64)
    copies = random.permutation(count)[: count // 20 * 2].reshape(2, -1)
    hashes[copies[0]] = hashes[copies[1]]
    for flipped in range(6):
        some = copies[0][random.integers(0, 7, len(copies[0])) > flipped]
        hashes[some] ^= np.uint64(1) << random.integers(0, 64, len(some), dtype=np.uint64)
    return hashes


def lumas(folder: Path) -> NDArray[np.float32]:
    """The pictures below a folder on white, grey, (n, 128, 128)."""
    found = []
    for file in sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp")):
        try:
            with Image.open(file) as picture:
                if picture.width * picture.height > MOST_PIXELS:
                    continue
                flat = Image.new("RGBA", picture.size, "white")
                flat.alpha_composite(picture.convert("RGBA"))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
        found.append(np.asarray(flat.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32))
    return np.stack(found)


def skewed(count: int, pictures: NDArray[np.float32]) -> Hashes:
    """Hashes of halves of windows of different pictures; those that say too little are left out."""
    upper = np.uint64(0xFFFFFFFF00000000)
    first, second = (_windows(count, pictures, seed) for seed in (1, 2))
    hashes = (first & upper) | (second & ~upper)
    bits = np.bitwise_count(hashes)
    return hashes[(bits >= LEAST_BITS) & (bits <= 64 - LEAST_BITS)]


def with_noise(hashes: Hashes) -> Hashes:
    """The hashes with each bit flipped with a chance of one in sixteen: the skew stays, most of the pairs go."""
    random = np.random.default_rng(3)
    noise = np.full(len(hashes), np.uint64(0xFFFFFFFFFFFFFFFF))
    for _ in range(4):
        noise &= random.integers(0, 1 << 64, len(hashes), dtype=np.uint64)
    return hashes ^ noise


def _windows(count: int, pictures: NDArray[np.float32], seed: int) -> Hashes:
    random = np.random.default_rng(seed)
    sums = np.zeros((len(pictures), SIDE + 1, SIDE + 1))
    sums[:, 1:, 1:] = pictures.cumsum(1).cumsum(2)
    parts = [_some_windows(min(100_000, count - start), sums, random) for start in range(0, count, 100_000)]
    return np.concatenate(parts)


def _some_windows(count: int, sums: NDArray[np.float64], random: np.random.Generator) -> Hashes:
    which = random.integers(0, len(sums), count)
    edges = []
    for cells in (8, 9):  # rows, columns
        size = random.integers(SMALLEST, SIDE + 1, count)
        start = (random.random(count) * (SIDE + 1 - size)).astype(int)
        edges.append(start[:, None] + size[:, None] * np.arange(cells + 1) // cells)
    rows, columns = edges
    corners = sums[which[:, None, None], rows[:, :, None], columns[:, None, :]]
    totals = np.diff(np.diff(corners, axis=1), axis=2)
    grey = np.round(totals / (np.diff(rows, axis=1)[:, :, None] * np.diff(columns, axis=1)[:, None, :]))
    bits = np.packbits((grey[:, :, 1:] > grey[:, :, :-1]).reshape(count, 64), axis=1)
    return bits.view(">u8").ravel().astype(np.uint64)


if __name__ == "__main__":
    main()
