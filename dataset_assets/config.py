"""`dataset.yaml` as typed settings; whatever is wrong in it is said at once, with the path of the key."""

import difflib
import re
import tempfile
from collections.abc import Hashable, Iterable, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from dataset_assets.domain import identity, selection, tag_query

MAX_CONFIG_BYTES = 1_000_000
FIRST_YEAR, LAST_YEAR = 1990, 2100
HELD_BY_EVERY_FORMAT = 16_000  # pixels: the largest side that need not be asked about


class ConfigError(Exception):
    """A dataset.yaml that cannot be used; the message is for the person who edits it."""


class Settings(BaseModel):
    """A block of dataset.yaml: unknown keys are refused, values are read-only."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # The folder that relative paths start from; set by `load_config` on the blocks that hold paths.
    _folder: Path = PrivateAttr(default=Path())


def parse_years(value: object) -> tuple[int, ...]:
    """Years from `2005..2021`, `2019` or `[2019, 2021]`, ascending.

    Raises: ValueError when they are no years, stand in the wrong order or leave 1990 to 2100.
    """
    if isinstance(value, str) and (span := re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", value)):
        first, last = int(span[1]), int(span[2])
        if first > last:
            raise ValueError(f"{value}: the first year is after the last; write {last}..{first}")
        years: Iterable[int] = range(first, min(last, LAST_YEAR + 1) + 1)
    elif isinstance(value, str) and value.strip().isdigit():
        years = [int(value)]
    elif isinstance(value, int) and not isinstance(value, bool):
        years = [value]
    elif isinstance(value, (list, tuple)) and value and all(type(year) is int for year in value):
        years = value
    else:
        raise ValueError(f"{value!r} is no year or span of years; write 2019, 2005..2021 or [2019, 2021]")
    if wrong := [year for year in years if not FIRST_YEAR <= year <= LAST_YEAR]:
        raise ValueError(f"{wrong[0]} is no year that a dataset could have; expected {FIRST_YEAR} to {LAST_YEAR}")
    return tuple(sorted(set(years)))


Years = Annotated[tuple[int, ...], BeforeValidator(parse_years)]
Paths = Annotated[tuple[str, ...], BeforeValidator(lambda value: (value,) if isinstance(value, str) else value)]
Names = Paths
ExportName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$"), BeforeValidator(lambda name: str(name))]


class License(Settings):
    """What may be done with a source's images, and who says so."""

    name: str
    basis: str
    redistribute: bool = False


class PublishedModels(Settings):
    """What made the captions, tags and vectors that a source publishes, where somebody says so; null = unknown."""

    captions: str | None = None
    tags: str | None = None
    tag_threshold: float | None = Field(default=None, ge=0, le=1)
    embeddings: str | None = None


class FileSettings(Settings):
    """A block that names files."""

    def resolve(self, path: str) -> Path:
        """A path of this block, from dataset.yaml's own folder."""
        return (self._folder / Path(path).expanduser()).absolute()

    def files(self, patterns: Iterable[str]) -> list[Path]:
        """The files that the patterns name, each once, ordered by name."""
        return sorted({file for pattern in patterns for file in _glob(self.resolve(pattern))})

    def unmatched(self, key: str, patterns: Iterable[str]) -> list[tuple[str, str]]:
        """The patterns of a key that name no file, as problems."""
        return [(key, f"no file matches {self.resolve(p)}") for p in patterns if not self.files([p])]


class Source(FileSettings):
    """What every kind of source has."""

    store: Literal["copy", "link", "reference"] = "copy"
    license: License
    models: PublishedModels = PublishedModels()
    expected: int | None = Field(default=None, ge=0)  # records that the publisher counts; another number is a warning
    # A new export that lacks a larger share of the records before it, and more than a few, is refused.
    max_vanished: float = Field(default=0.1, ge=0, le=1)


def _glob(pattern: Path) -> list[Path]:
    """Files that match a pattern; in an absolute one too, which `Path.glob` refuses."""
    if pattern.is_file():
        return [pattern]
    return [path for path in Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))) if path.is_file()]


class TagRelations(Settings):
    """Danbooru's dumps of aliases and implications; only active ones count."""

    aliases: Paths = ()
    implications: Paths = ()


class DanbooruSource(Source):
    """A mirror in Danbooru20xx's layout: metadata of either schema, and an `original/BBBB/ID.EXT` tree."""

    kind: Literal["danbooru"]
    metadata: Paths = Field(min_length=1)
    images: str
    years: Years
    tag_relations: TagRelations = TagRelations()
    # Dumps of what Danbooru publishes beside its posts: JSON lines, plain or packed, or pages of its API.
    pools: Paths = ()
    artist_commentaries: Paths = ()
    notes: Paths = ()
    # Exports of former years, by a name of yours, the oldest first: Danbooru2021 holds metadata/2017/ and so on.
    earlier_metadata: dict[ExportName, Paths] = {}

    def missing_inputs(self) -> list[tuple[str, str]]:
        problems = self.unmatched("metadata", self.metadata)
        for name, patterns in self.earlier_metadata.items():
            problems += self.unmatched(f"earlier_metadata.{name}", patterns)
        problems += self.unmatched("tag_relations.aliases", self.tag_relations.aliases)
        problems += self.unmatched("tag_relations.implications", self.tag_relations.implications)
        for key in ("pools", "artist_commentaries", "notes"):
            problems += self.unmatched(key, getattr(self, key))
        if not self.resolve(self.images).is_dir():
            problems.append(("images", f"{self.resolve(self.images)} is not a folder"))
        return problems


def parse_window(value: object) -> tuple[date, date]:
    """First and last day, from `2022-11-06..2022-12-27`. Raises: ValueError."""
    if isinstance(value, tuple):
        return value
    first, _, last = str(value).partition("..")
    try:
        window = date.fromisoformat(first.strip()), date.fromisoformat(last.strip())
    except ValueError as error:
        raise ValueError(f"{value!r} is no span of days; write 2022-11-06..2022-12-27") from error
    if window[0] > window[1]:
        raise ValueError(f"{value}: the first day is after the last; write {last.strip()}..{first.strip()}")
    return window


Window = Annotated[tuple[date, date], BeforeValidator(parse_window)]


class GalleryDlSource(Source):
    """A scrape by gallery-dl: images with `.json` sidecars, in a folder or inside zip archives."""

    kind: Literal["gallery_dl"]
    images: str
    # The same works once more, with kohya's captions and tags beside them: a folder or archives. Without it, captions
    # and tags are looked for beside `images`.
    preprocessed: str | None = None
    window: Window | None = None  # the days that the publisher says were scraped
    years: Years

    @field_validator("store")
    @classmethod
    def _archives_have_no_links(cls, store: str) -> str:
        if store == "link":
            raise ValueError("a file inside a zip cannot be linked to; use copy or reference")
        return store

    def missing_inputs(self) -> list[tuple[str, str]]:
        named = [("images", self.images), ("preprocessed", self.preprocessed)]
        return [
            (key, f"{self.resolve(path)} is neither a folder nor a zip archive")
            for key, path in named
            if path is not None and not self.resolve(path).is_dir() and not self.files([path])
        ]


class UndatedSource(Source):
    """A source that states no year for its images: all of them belong to the year of the collection."""

    collected: int = Field(ge=FIRST_YEAR, le=LAST_YEAR)
    images: str | None = None  # a folder of files that were fetched; without one, every image is pending

    @property
    def years(self) -> tuple[int, ...]:
        return (self.collected,)

    def missing_images(self) -> list[tuple[str, str]]:
        if self.images is None or self.resolve(self.images).is_dir():
            return []
        return [("images", f"{self.resolve(self.images)} is not a folder")]


class PixivListsSource(UndatedSource):
    """Lists of Pixiv ids, as pixiv_dataset publishes them: no images, and little said of each."""

    kind: Literal["pixiv_lists"]
    ids: Paths = Field(min_length=1)  # one id a line
    sketch_pairs: str | None = None  # CSV without header: colored id, sketch id
    bookmark_tags: str | None = None  # tags under `# 50000` headings

    def missing_inputs(self) -> list[tuple[str, str]]:
        others = [("sketch_pairs", self.sketch_pairs), ("bookmark_tags", self.bookmark_tags)]
        problems = [problem for key, path in others if path for problem in self.unmatched(key, [path])]
        return self.unmatched("ids", self.ids) + problems + self.missing_images()


class Pd12mSource(UndatedSource):
    """PD12M's Parquet shards, of any of its three layouts."""

    kind: Literal["pd12m"]
    metadata: Paths = Field(min_length=1)
    embeddings: Paths = ()  # .npy files of the published image vectors

    def missing_inputs(self) -> list[tuple[str, str]]:
        problems = self.unmatched("metadata", self.metadata) + self.unmatched("embeddings", self.embeddings)
        return problems + self.missing_images()


AnySource = Annotated[DanbooruSource | GalleryDlSource | PixivListsSource | Pd12mSource, Field(discriminator="kind")]


class TrainingImages(Settings):
    """What `training_images` makes."""

    max_side: int = Field(default=512, ge=1, le=16_384)
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = Field(default=95, ge=1, le=100)

    @model_validator(mode="after")
    def _format_holds_the_side(self) -> "TrainingImages":
        if self.max_side > HELD_BY_EVERY_FORMAT:
            from dataset_assets.domain.training import TrainingRecipe  # brings NumPy and Pillow, which few need

            TrainingRecipe(self.max_side, self.format, self.quality)
        return self


class Clip(Settings):
    """The model behind `clip_embeddings`, in open_clip's names."""

    model: str = "ViT-L-14-quickgelu"
    pretrained: str | None = "openai"
    batch_size: int = Field(default=32, ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    random_weights: bool = False


class IdList(FileSettings):
    """Text files of one post id a line, of one source; subsets may leave these posts out, or take no others."""

    file: Paths = Field(min_length=1)
    source: str


class Subset(Settings):
    """A definition of which images are kept; the rules are asked in the order of the keys below."""

    sources: tuple[str, ...] | None = None
    license: Literal["any", "redistributable"] = "any"
    exclude: Names = ()  # of `id_lists`: posts that stand in any of them are left out
    only: Names = ()  # of `id_lists`: posts that stand in none of them are left out
    tags: str | None = None
    where: str | None = None

    @field_validator("tags")
    @classmethod
    def _tags_parse(cls, text: str | None) -> str | None:
        if text is not None:
            tag_query.parse(text)
        return text

    @field_validator("where")
    @classmethod
    def _where_is_safe(cls, text: str | None) -> str | None:
        if text is not None:
            selection.where_expression(text)
        return text


class DatasetConfig(Settings):
    """All of dataset.yaml."""

    root: str = "./data"
    sources: dict[str, AnySource] = Field(min_length=1)
    training_images: TrainingImages = TrainingImages()
    clip: Clip = Clip()
    engine: Literal["local"] = "local"
    workers: int | None = Field(default=None, ge=1, le=1024)
    id_lists: dict[str, IdList] = {}
    subsets: dict[str, Subset] = {}

    _file: Path = PrivateAttr(default=Path("dataset.yaml"))

    @field_validator("root")
    @classmethod
    def _root_is_a_folder(cls, root: str) -> str:
        if "://" in root:
            raise ValueError(f"{root} is no folder; a root in a bucket is not supported")
        return root

    @field_validator("sources", "subsets", "id_lists")
    @classmethod
    def _names_are_path_safe(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if not identity.SOURCE_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: a name is 1 to 32 of a-z, 0-9 and _, and begins with no _")
        return named

    @property
    def file(self) -> Path:
        """Where this was read from."""
        return self._file

    @property
    def folder(self) -> Path:
        """Where relative paths start: the folder of dataset.yaml."""
        return self._folder

    @property
    def root_path(self) -> Path:
        """The root's folder."""
        return (self._folder / Path(self.root).expanduser()).absolute()

    @cached_property
    def years(self) -> tuple[int, ...]:
        """Every year that some source declares, ascending."""
        return tuple(sorted({year for source in self.sources.values() for year in source.years}))

    def cells(self, sources: Iterable[str] | None = None, years: Iterable[int] | None = None) -> list[tuple[str, int]]:
        """The declared (source, year) cells, within the given sources and years."""
        wanted = None if years is None else set(years)
        return [
            (name, year)
            for name in sorted(self.sources if sources is None else sources)
            for year in self.sources[name].years
            if wanted is None or year in wanted
        ]

    def require_inputs(self, sources: Iterable[str] | None = None) -> None:
        """Refuse sources whose files are not there.

        Raises: ConfigError naming every key whose file or folder is missing.
        """
        problems = [
            f"sources.{name}.{key}: {problem}"
            for name in (self.sources if sources is None else sources)
            for key, problem in self.sources[name].missing_inputs()
        ]
        problems += [
            f"id_lists.{name}.{key}: {problem}"
            for name, listed in self.id_lists.items()
            if sources is None or listed.source in sources
            for key, problem in listed.unmatched("file", listed.file)
        ]
        if problems:
            raise ConfigError(_report(self.file, problems))

    def require_root(self) -> None:
        """Refuse a root that cannot be written to. Raises: ConfigError."""
        try:
            self.root_path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root_path):
                pass
        except OSError as error:
            raise ConfigError(_report(self.file, [f"root: {self.root_path} cannot be written to: {error}"])) from None


def load_config(file: Path, *, folder: Path | None = None) -> DatasetConfig:
    """Read dataset.yaml. Relative paths in it start from its own folder, or from `folder`.

    Raises: ConfigError with one line for each wrong key; input files are not looked at (see `require_inputs`).
    """
    try:
        config = DatasetConfig.model_validate(_read_yaml(file))
    except ValidationError as error:
        raise ConfigError(_report(file, [_explain(problem) for problem in error.errors()])) from None
    base = (folder or file.parent).absolute()
    config._file, config._folder = file, base
    for block in (*config.sources.values(), *config.id_lists.values()):
        block._folder = base
    if problems := _unknown_names(config):
        raise ConfigError(_report(file, problems))
    return config


def _unknown_names(config: DatasetConfig) -> list[str]:
    """What blocks name that is declared nowhere."""
    named = [(f"id_lists.{name}.source", listed.source, "source") for name, listed in config.id_lists.items()]
    for name, subset in config.subsets.items():
        named += [(f"subsets.{name}.sources", source, "source") for source in subset.sources or ()]
        named += [(f"subsets.{name}.exclude", found, "id list") for found in subset.exclude]
        named += [(f"subsets.{name}.only", found, "id list") for found in subset.only]
    known: dict[str, Iterable[str]] = {"source": config.sources, "id list": config.id_lists}
    return [
        f"{key}: there is no {what} {name!r}{_suggest(name, known[what])}"
        for key, name, what in named
        if name not in known[what]
    ]


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, but a key that stands twice is an error instead of a silent loss."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs leave it out
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not used here", mark)
        return super().compose_node(parent, index)


def _read_yaml(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{file}: larger than {MAX_CONFIG_BYTES:,} bytes; this cannot be a dataset.yaml")
        loaded = yaml.load(file.read_text("utf-8"), _UniqueKeys)  # noqa: S506 - a SafeLoader
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file; `dataset-assets init` writes one") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{file}: not YAML: {error}") from None
    if not isinstance(loaded, dict):
        raise ConfigError(f"{file}: expected keys such as root and sources, found {type(loaded).__name__}")
    return loaded


def _explain(problem: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a line that names the key."""
    path = [str(part) for part in problem["loc"]]
    if path[0] == "sources" and len(path) > 2:
        del path[2]  # pydantic names the kind there, which is no key
    key, kind, found = ".".join(path), problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "union_tag_invalid":
        return f"{key}.kind: {found['kind']!r} is no kind of source; expected {problem['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        return f"{key}.kind: missing; expected 'danbooru', 'gallery_dl', 'pixiv_lists' or 'pd12m'"
    if kind == "value_error":
        return f"{key}: {problem['ctx']['error']}"
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {found!r}"


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _report(file: Path, problems: list[str]) -> str:
    return "\n".join(f"{file}: {problem}" for problem in problems)
