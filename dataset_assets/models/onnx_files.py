"""ONNX files as they come: what in one would reach outside of it, found without the library that would do so.

A model may keep tensors in other files, by any path that its author wrote; the taggers' do not.
Source: onnx.proto3 (the numbers of the fields).
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from dataset_assets.models.weight_files import ModelError

MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
FUNCTION_NODE = 7
NODE_ATTRIBUTE = 5
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS, ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = (
    *(5, 6, 10, 11, 22, 23),
)
TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION = 13, 14
SPARSE_VALUES, SPARSE_INDICES = 1, 2
# By kind of message, the fields that lead on to tensors, and the kind of message that each is.
LEADS_TO = {
    "model": {MODEL_GRAPH: "graph", MODEL_FUNCTIONS: "function"},
    "graph": {GRAPH_NODE: "node", GRAPH_INITIALIZER: "tensor", GRAPH_SPARSE: "sparse"},
    "function": {FUNCTION_NODE: "node"},
    "node": {NODE_ATTRIBUTE: "attribute"},
    "attribute": {
        **dict.fromkeys((ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS), "tensor"),
        **dict.fromkeys((ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS), "graph"),
        **dict.fromkeys((ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES), "sparse"),
    },
    "sparse": {SPARSE_VALUES: "tensor", SPARSE_INDICES: "tensor"},
}
FIXED_BYTES = {1: 8, 5: 4}  # by protobuf's wire type
VARINT, LENGTH = 0, 2
MAX_DEPTH = 20


def require_self_contained(file: Path) -> None:
    """Refuse an ONNX file that is none, or whose tensors lie in other files. Raises: ModelError."""
    try:
        if file.stat().st_size == 0:
            raise ModelError(f"{file}: is empty; copy or fetch it again")
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if data[:32].startswith(b"version https://git-lfs"):
                raise ModelError(f"{file}: is Git LFS's note about the model, not the model; run `git lfs pull` there")
            _require_own_tensors(file, data, 0, len(data), "model", 0)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error}") from None


def _require_own_tensors(file: Path, data: mmap.mmap, start: int, end: int, kind: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ModelError(f"{file}: graphs nest more than {MAX_DEPTH} deep; this is no tagger")
    for field, begin, stop in _fields(file, data, start, end):
        if kind == "tensor" and field in (TENSOR_EXTERNAL_DATA, TENSOR_DATA_LOCATION):
            if field == TENSOR_EXTERNAL_DATA or _varint(file, data, begin, end)[0] != 0:
                raise ModelError(f"{file}: keeps tensors in other files, which is not allowed; expected one whole file")
        elif (inner := LEADS_TO.get(kind, {}).get(field)) is not None:
            _require_own_tensors(file, data, begin, stop, inner, depth + 1)


def _fields(file: Path, data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message: number, and where the value begins and ends."""
    at = start
    while at < end:
        key, at = _varint(file, data, at, end)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            stop = _varint(file, data, at, end)[1]
        elif wire == LENGTH:
            size, at = _varint(file, data, at, end)
            stop = at + size
        else:
            stop = at + FIXED_BYTES.get(wire, end + 1)
        if stop > end or field == 0:
            raise _damaged(file)
        yield field, at, stop
        at = stop


def _varint(file: Path, data: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _damaged(file)


def _damaged(file: Path) -> ModelError:
    return ModelError(f"{file}: is no ONNX model, or a damaged one; copy or fetch it again")
