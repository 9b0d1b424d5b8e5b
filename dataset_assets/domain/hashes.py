"""Hashes of what an image shows: one for equal pixels, one for similar looks."""

import hashlib

import numpy as np
from PIL import Image

from dataset_assets.domain import colour
from dataset_assets.domain.geometry import overview, upright


def pixel_hash(image: Image.Image) -> str:
    """SHA-256, hex, of the size and the upright pixels, row by row as 8-bit RGBA in the file's own colour space.

    Equal for every lossless re-encoding: PNG at another level, interlaced, with a palette or a colour key in place of
    alpha, a grey image stored as RGB, a JPEG made progressive, a file that says "rotate me" and one that is rotated.
    Colours under full transparency are taken for black: nobody sees them, and optimizers drop them. The profile is no
    part of it, so equal numbers in two colour spaces are equal. 16-bit channels count by their high byte. CMYK has
    hashes of its own, of its four channels.
    """
    stands = upright(image)
    digest = hashlib.sha256(f"{'CMYK' if image.mode == 'CMYK' else 'RGBA'} {stands.width}x{stands.height}\n".encode())
    for _, band in colour.bands(stands):
        digest.update(_visible_bytes(band))
    return digest.hexdigest()


def _visible_bytes(plain: Image.Image) -> bytes:
    if plain.mode == "CMYK":
        return plain.tobytes()
    rgba = plain.convert("RGBA")
    pixels = rgba.tobytes()
    if plain.mode not in ("LA", "RGBA") or rgba.getchannel("A").getextrema()[0] != 0:
        return pixels
    words = np.frombuffer(pixels, "<u4")  # alpha is the high byte
    return np.where(words >> 24 == 0, 0, words).astype("<u4").tobytes()


def perceptual_hash(image: Image.Image) -> int:
    """64-bit difference hash: bit 63 - (8 row + column) is set where the next of 9x8 grey cells is brighter.

    Upright, in sRGB, and flattened on the background that the image would be trained on. Images of one colour are 0,
    so equal hashes of such say nothing. Source: N. Krawetz, "Kind of Like That", 2013.
    """
    small, _ = overview(image)
    grey = np.asarray(small.convert("L").resize((9, 8), Image.Resampling.LANCZOS), np.int16)
    return int.from_bytes(np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes(), "big")


def hamming(first: int, second: int) -> int:
    """Bits that differ between two perceptual hashes, 0 to 64."""
    return (first ^ second).bit_count()
