"""Products of vectors of half precision, compiled: rows are widened in registers, or a tile at a time.

Whatever reads a row adds up its bits with odd weights in the same pass: the row's checksum, which costs next to nothing
where memory is what one waits for. One changed number always changes it, and larger damage all but once in 2^32.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding
import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

# What the sums of one block of products fill: 24 of AVX-512's 32 registers, or 12 of the 16 elsewhere.
LANES, BLOCK_ROWS = 16, 6
BLOCK_VECTORS = 4 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 1
PANEL = LANES * BLOCK_VECTORS  # queries that go through one pass
TILE = 8 * BLOCK_ROWS  # rows that are widened together: with a panel of queries they fit a core's own cache


@cache
def weights(dim: int) -> NDArray[np.int16]:
    """The odd number by which each place of a row is weighted in its checksum."""
    mixed = np.arange(1, dim + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return ((mixed >> np.uint64(48)) | np.uint64(1)).astype(np.uint16).view(np.int16)


@intrinsic
def _half(context, bits):  # type: ignore[no-untyped-def]
    """Half precision, given as its bits, to single: one instruction for sixteen of them."""
    del context, bits

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return numba.types.float32(numba.types.uint16), code


@intrinsic
def _multiply_block(context, rows, first, panel, products):  # type: ignore[no-untyped-def]
    """The products of some rows of a tile, from the first on, with a panel of queries: all sums stay in registers.

    `rows`: (rows, dimensions); `panel`: (dimensions, PANEL); `products`: (BLOCK_ROWS, PANEL).
    """
    del context
    vector = ir.VectorType(ir.FloatType(), LANES)

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def number(value: int) -> ir.Constant:
            return ir.Constant(context.get_value_type(types.intp), value)

        def array(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place])

        def vectors_from(start: ir.Value) -> ir.Value:
            return builder.bitcast(start, vector.as_pointer())

        tile, columns, result = array(0), array(2), array(3)
        dim = cgutils.unpack_tuple(builder, tile.shape)[1]
        starts = [
            builder.gep(tile.data, [builder.mul(builder.add(arguments[1], number(row)), dim)])
            for row in range(BLOCK_ROWS)
        ]
        zero = ir.Constant(vector, [0.0] * LANES)
        sums = [cgutils.alloca_once_value(builder, zero) for _ in range(BLOCK_ROWS * BLOCK_VECTORS)]
        with cgutils.for_range(builder, dim, intp=dim.type) as loop:
            line = vectors_from(builder.gep(columns.data, [builder.mul(loop.index, number(PANEL))]))
            factors = [builder.load(builder.gep(line, [number(at)]), align=4) for at in range(BLOCK_VECTORS)]
            for row, start in enumerate(starts):
                one = _spread(builder, builder.load(builder.gep(start, [loop.index])), vector)
                for at, factor in enumerate(factors):
                    place = sums[row * BLOCK_VECTORS + at]
                    product = builder.fmul(one, factor, flags=("contract",))
                    builder.store(builder.fadd(product, builder.load(place), flags=("contract",)), place)
        out = vectors_from(result.data)
        for at, place in enumerate(sums):
            builder.store(builder.load(place), builder.gep(out, [number(at)]), align=4)
        return context.get_dummy_value()

    return types.void(rows, types.intp, panel, products), code


def _spread(builder: ir.IRBuilder, value: ir.Value, vector: ir.VectorType) -> ir.Value:
    """One number in every place of a vector."""
    unset, first = ir.Constant(vector, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(builder.insert_element(unset, value, first), unset, everywhere)


def compiled(function: Callable[..., Any], *, threads: bool = False) -> Callable[..., Any]:
    """Compile on the first call, and keep the result on disk for the next process where that can be written to."""
    # Sums in any order, so that sixteen run at once; the same order for every row.
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract"}, "parallel": threads}
    try:
        kept: Callable[..., Any] = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for it
        kept = numba.njit(**options)(function)
    return kept


def _score_all(vectors, scale, query, found, sums):  # type: ignore[no-untyped-def]  # compiled: the call's types
    for row in numba.prange(vectors.shape[0]):
        total, check = np.float32(0), np.int32(0)
        for at in range(vectors.shape[1]):
            bits = vectors[row, at]
            total += _half(bits) * query[at]
            check = np.int32(check + np.int16(bits) * scale[at])
        found[row], sums[row] = total, check


def _score_some(vectors, rows, scale, query, found, sums):  # type: ignore[no-untyped-def]
    for number in numba.prange(len(rows)):
        total, check, row = np.float32(0), np.int32(0), rows[number]
        for at in range(vectors.shape[1]):
            bits = vectors[row, at]
            total += _half(bits) * query[at]
            check = np.int32(check + np.int16(bits) * scale[at])
        found[number], sums[number] = total, check


def _widen_all(vectors, result):  # type: ignore[no-untyped-def]
    for row in range(vectors.shape[0]):
        for at in range(vectors.shape[1]):
            result[row, at] = _half(vectors[row, at])


def _sum_all(vectors, scale, sums):  # type: ignore[no-untyped-def]
    for row in numba.prange(vectors.shape[0]):
        check = np.int32(0)
        for at in range(vectors.shape[1]):
            check = np.int32(check + np.int16(vectors[row, at]) * scale[at])
        sums[row] = check


def _find_above(vectors, scale, panel, floors, share, rows, queries, scores, counts, sums):  # type: ignore[no-untyped-def]
    # Each thread widens, multiplies and looks through tiles of its own, into its own part of what is found.
    for part in numba.prange(len(counts)):
        tile = np.zeros((TILE, vectors.shape[1]), np.float32)
        products = np.empty((BLOCK_ROWS, PANEL), np.float32)
        start, end = part * share, min(len(vectors), (part + 1) * share)
        base = found = start * PANEL
        for first in range(start, end, TILE):
            some = min(TILE, end - first)
            for row in range(some):
                check = np.int32(0)
                for at in range(vectors.shape[1]):
                    bits = vectors[first + row, at]
                    tile[row, at] = _half(bits)
                    check = np.int32(check + np.int16(bits) * scale[at])
                sums[first + row] = check
            for block in range(0, some, BLOCK_ROWS):
                _multiply_block(tile, block, panel, products)
                for row in range(min(BLOCK_ROWS, some - block)):
                    for query in range(PANEL):
                        if floors[query] <= products[row, query] < np.inf:
                            rows[found], queries[found] = first + block + row, query
                            scores[found] = products[row, query]
                            found += 1
        counts[part] = found - base


score_all = compiled(_score_all, threads=True)
score_some = compiled(_score_some, threads=True)
# So few that one thread is done sooner than several begin.
score_few = compiled(_score_some)
widen = compiled(_widen_all)
sum_all = compiled(_sum_all, threads=True)
find_above = compiled(_find_above, threads=True)
