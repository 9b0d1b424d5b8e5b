"""The demonstration's small sources, drawn from a seed in each source's own format."""

import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

VERSION = "2"  # changes whenever what is drawn does
MARKER = ".complete"
TEMPLATE = Path(__file__).parent / "dataset.yaml"


def draw_sample(folder: Path, say: Callable[[str], None] = lambda line: None) -> None:
    """Put the sample into a folder: `sources/`, `models/tiny-clip-random/` and `dataset.yaml`.

    What is there stays: a dataset.yaml as it is, `sources/` of this version untouched, any other `sources/` under
    another name, which `say` tells. `sources/` appears whole or not at all; a draw that was cut short starts anew.
    """
    from dataset_assets.sample.tiny_clip import write_tiny_clip

    write_tiny_clip(folder / "models" / "tiny-clip-random")
    _draw_sources(folder / "sources", say)
    if not (folder / "dataset.yaml").exists():
        partial = folder / ".dataset.yaml.partial"
        shutil.copyfile(TEMPLATE, partial)
        os.replace(partial, folder / "dataset.yaml")
        say(f"wrote {folder / 'dataset.yaml'}")


def _draw_sources(sources: Path, say: Callable[[str], None]) -> None:
    from dataset_assets.sample.danbooru_mirror import write_danbooru
    from dataset_assets.sample.niji_preprocessed import write_preprocessed
    from dataset_assets.sample.niji_zip import write_niji

    if _version(sources) == VERSION:
        say(f"{sources} is drawn already")
        return
    say("drawing the sample: some 200 pictures, in some 10 seconds")
    partial = sources.with_name(".sources.partial")
    shutil.rmtree(partial, ignore_errors=True)
    posts = write_danbooru(partial / "danbooru")
    images = write_niji(partial)
    write_preprocessed(partial)
    (partial / MARKER).write_text(f"{VERSION}\n")
    if sources.exists():
        aside = _aside(sources)
        sources.rename(aside)
        say(f"{sources} was not the sample of this version; it is now {aside}")
    partial.rename(sources)
    say(f"drew {posts} posts of Danbooru and {images} images of Pixiv into {sources}")


def _version(sources: Path) -> str | None:
    marker = sources / MARKER
    return marker.read_text().strip() if marker.is_file() else None


def _aside(sources: Path) -> Path:
    """A name that nothing has yet."""
    names = (sources.with_name(f"{sources.name}.replaced-{number}") for number in count(1))
    return next(name for name in names if not name.exists())
