"""Files that were sound: cut, flipped, overwritten or spliced, the same for the same seed."""

import random
from collections.abc import Sequence

from dataset_assets.domain.images import DECODABLE
from dataset_assets_tests.domain.pictures import animated, drawing, encoded, exif, icc_profile, line_art


def drawn_files() -> list[bytes]:
    """A file of every format, still and animated, with a palette, a profile, EXIF."""
    files = [encoded(drawing(), file_format) for file_format in DECODABLE]
    files += [animated("gif"), animated("png")]
    files += [encoded(line_art((0, 0, 0)).quantize(4), "png", transparency=b"\xff\0\x80\xff")]
    return [*files, encoded(drawing(), "jpeg", progressive=True, exif=exif(6), icc_profile=icc_profile(2.2))]


def mutant(files: Sequence[bytes], seed: int) -> bytes:
    """One of the files, damaged."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(files))
    at = chance.randrange(len(data))
    how = chance.randrange(4)
    if how == 0:
        del data[at:]
    elif how == 1:
        for _ in range(chance.choice([1, 2, 5, 20])):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == 2:
        data[at : at + 40] = chance.randbytes(len(data[at : at + 40]))
    else:
        data[at:at] = data[chance.randrange(len(data)) :]
    return bytes(data)
