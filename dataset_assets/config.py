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
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from dataset_assets.domain import addresses, identity
from dataset_assets.places import Place, S3Place, parse_s3_url
from dataset_assets.release_settings import Release
from dataset_assets.settings import Settings
from dataset_assets.subset_settings import Subset

MAX_CONFIG_BYTES = 1_000_000
FIRST_YEAR, LAST_YEAR = 1990, 2100
RELEASE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
SAYS_NOTHING = "nothing stands below this key; write {} for its defaults, or take it out"
HELD_BY_EVERY_FORMAT = 16_000  # pixels: the largest side that need not be asked about


class ConfigError(Exception):
    """A dataset.yaml that cannot be used; the message is for the person who edits it."""


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
Digest = Annotated[str, Field(pattern=r"^([0-9a-f]{32}|[0-9a-f]{64})$")]
HeaderValue = Annotated[str, Field(max_length=1000, pattern=r"^[\x20-\x7e]*$")]
# Headers that a fetch sets itself, and those that hold secrets, which have no place in a file.
OWN_HEADERS = (
    *("accept", "accept-encoding", "authorization", "connection", "content-length", "cookie", "expect", "host"),
    *("if-modified-since", "if-none-match", "proxy-authorization", "range", "te", "transfer-encoding", "upgrade"),
    "user-agent",
)
KINDS_WITH_URLS = ("danbooru", "pd12m")
URL = "url"  # in place of a folder of images: they are fetched from where the records say
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


class Fetch(Settings):
    """How a source's files are fetched, where its `images` is `url`."""

    concurrency: int = Field(default=32, ge=1, le=1024)  # requests at once
    per_host: int = Field(default=8, ge=1, le=1024)  # of them to one host
    rate_per_host: float | None = Field(default=10.0, gt=0)  # requests a second to one host; null = as fast as it goes
    attempts: int = Field(default=3, ge=1, le=10)  # within one run
    timeout_s: float = Field(default=60.0, gt=0, le=3600)  # of one request, from connecting to the last byte
    min_rate: int = Field(default=1024, ge=0)  # bytes a second after the first five seconds; slower is given up
    max_bytes: int = Field(default=100_000_000, ge=1, le=10**10)
    user_agent: str = Field(default="dataset_assets/0.1", min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")
    headers: dict[str, HeaderValue] = Field(
        default_factory=dict
    )  # such as the Referer that a host asks for; sent to the first host alone
    opt_outs: Names = ("noai", "noimageai", "noindex", "noimageindex")  # directives of X-Robots-Tag that are honoured
    md5_mismatch: Literal["quarantine", "store"] = "quarantine"
    placeholders: tuple[Digest, ...] = ()  # MD5 or SHA-256 of pictures that a host shows in place of a hidden work
    allow_http_downgrade: bool = False  # follow a redirect from https to http
    # Addresses that may be connected to although they are not public, such as a mirror in your own network.
    allow_addresses: Names = ()

    @field_validator("headers")
    @classmethod
    def _headers_are_harmless(cls, headers: dict[str, str]) -> dict[str, str]:
        for name in headers:
            if not re.fullmatch(r"[A-Za-z0-9-]{1,60}", name) or name.lower() in OWN_HEADERS:
                raise ValueError(f"{name!r} cannot be set here: it is a secret, or what a fetch sets itself")
        return headers

    @field_validator("allow_addresses")
    @classmethod
    def _addresses_parse(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        addresses.parse_networks(networks)
        return networks


BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\x00-\x1f\x7f]*)?", re.ASCII)
KINDS_IN_BUCKETS = ("danbooru", "pixiv_lists", "pd12m")


class ImagesBucket(Settings):
    """How a source's bucket is reached. Keys are never written here: they come as all AWS programs find them."""

    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,40}$")
    # Of a store that is not Amazon's, such as MinIO.
    endpoint: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}/?$")
    unsigned: bool = False  # a public bucket, asked without credentials


class Source(FileSettings):
    """What every kind of source has."""

    store: Literal["copy", "link", "reference"] = "copy"
    fetch: Fetch = Fetch()
    s3: ImagesBucket = ImagesBucket()
    license: License
    citation: str | None = Field(default=None, max_length=20_000)  # BibTeX, or words, for the cards of releases
    models: PublishedModels = PublishedModels()
    expected: int | None = Field(default=None, ge=0)  # records that the publisher counts; another number is a warning
    # A new export that lacks a larger share of the records before it, and more than a few, is refused.
    max_vanished: float = Field(default=0.1, ge=0, le=1)

    @property
    def is_fetched(self) -> bool:
        """Whether the images come from the addresses that the records give."""
        return getattr(self, "images", None) == URL

    @property
    def shown_at(self) -> str | None:
        """Where its posts are shown, with `{post_id}` in it; null = its kind knows."""
        found: str | None = getattr(self, "page_url", None)
        return found

    @property
    def in_bucket(self) -> bool:
        """Whether the images lie in a bucket."""
        return str(getattr(self, "images", None)).startswith("s3://")

    @model_validator(mode="after")
    def _bucket_can_be_read(self) -> "Source":
        if not self.in_bucket:
            return self
        images, kind = getattr(self, "images", ""), getattr(self, "kind", None)
        if kind not in KINDS_IN_BUCKETS:
            raise ValueError(f"images in a bucket are for {', '.join(KINDS_IN_BUCKETS)}; copy these here")
        if not BUCKET.fullmatch(images):
            raise ValueError(f"images: {images} names no bucket; write s3://bucket/prefix")
        if self.store == "link":
            raise ValueError("store: link needs files on this disk; with images in a bucket use copy or reference")
        return self

    @model_validator(mode="after")
    def _settings_have_an_effect(self) -> "Source":
        given = self.model_fields_set
        if "fetch" in given and not self.is_fetched:
            raise ValueError("fetch: says how images are fetched with images: url; take it out, or write images: url")
        if "s3" in given and not self.in_bucket:
            raise ValueError("s3: says how a bucket is reached, and images names none; take it out")
        return self

    @model_validator(mode="after")
    def _fetched_images_are_copied(self) -> "Source":
        if self.is_fetched and getattr(self, "kind", None) not in KINDS_WITH_URLS:
            kinds = " and ".join(KINDS_WITH_URLS)
            raise ValueError(f"images: url is for sources of kind {kinds}, whose records give an address")
        if self.is_fetched and self.store != "copy":
            raise ValueError(f"store: {self.store} needs files on this machine; with images: url use copy")
        return self


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
    # A post's page where the mirror is of another site than Danbooru, such as https://example.org/posts/{post_id}.
    page_url: str | None = Field(default=None, max_length=500, pattern=r"^https?://[^\s{}@]+\{post_id\}[^\s{}@]*$")
    tag_relations: TagRelations = TagRelations()
    # Dumps of what Danbooru publishes beside its posts: JSON lines, plain or packed, or pages of its API.
    pools: Paths = ()
    artist_commentaries: Paths = ()
    notes: Paths = ()
    # Exports of former years, by a name of yours, the oldest first: Danbooru2021 holds metadata/2017/ and so on.
    earlier_metadata: dict[ExportName, Paths] = Field(default_factory=dict)

    def missing_inputs(self) -> list[tuple[str, str]]:
        problems = self.unmatched("metadata", self.metadata)
        for name, patterns in self.earlier_metadata.items():
            problems += self.unmatched(f"earlier_metadata.{name}", patterns)
        problems += self.unmatched("tag_relations.aliases", self.tag_relations.aliases)
        problems += self.unmatched("tag_relations.implications", self.tag_relations.implications)
        for key in ("pools", "artist_commentaries", "notes"):
            problems += self.unmatched(key, getattr(self, key))
        if not (self.is_fetched or self.in_bucket or self.resolve(self.images).is_dir() or self.archives()):
            problems.append(("images", f"{self.resolve(self.images)} is not a folder, and no .zip or .tar"))
        return problems

    @field_validator("images")
    @classmethod
    def _images_are_packed_plainly(cls, images: str) -> str:
        if re.search(r"\.(tar\.\w+|tgz|txz|7z|rar)$", images, re.IGNORECASE):
            raise ValueError(f"{images}: members are read in place, out of plain .tar and .zip; pack it so")
        return images

    @model_validator(mode="after")
    def _archives_have_no_links(self) -> "DanbooruSource":
        if self.store == "link" and re.search(r"\.(zip|tar)$", self.images, re.IGNORECASE):
            raise ValueError("a member of an archive cannot be linked to; use copy or reference")
        return self

    def archives(self) -> list[Path]:
        """The archives that `images` names, where it does not name a folder."""
        return [file for file in self.files([self.images]) if file.suffix.lower() in (".zip", ".tar")]


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


class Scrape(Settings):
    """What gallery-dl is to fetch, and how hard it may ask. Its login comes from PIXIV_REFRESH_TOKEN alone."""

    urls: Names = ()  # of any site that gallery-dl knows; only what it writes of Pixiv is read as records
    searches: Names = ()  # words of a tag search at Pixiv
    works: Paths = ()  # files of one id of a Pixiv work a line
    pause_s: tuple[float, float] = (1.0, 2.0)  # between requests, drawn from this span
    rate: int | None = Field(default=None, ge=1024)  # bytes a second; null = as fast as it goes
    retries: int = Field(default=4, ge=0, le=100)
    max_file_bytes: int = Field(default=512 << 20, ge=1)
    max_bytes: int = Field(default=10**12, ge=1)  # of one run
    max_seconds: float = Field(default=7 * 86_400, gt=0)  # of one run; what is left is asked for in the next

    @field_validator("urls")
    @classmethod
    def _urls_are_of_the_web(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not re.fullmatch(r"https?://[^\s@#]+", url):
                raise ValueError(f"{url!r} is no address; write https://... without blanks, # and logins")
        return urls

    @field_validator("pause_s")
    @classmethod
    def _pause_is_a_span(cls, pause_s: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= pause_s[0] <= pause_s[1] <= 3600:
            raise ValueError(f"{list(pause_s)} is no span of seconds; write [1, 2]")
        return pause_s

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Scrape":
        if not (self.urls or self.searches or self.works):
            raise ValueError("asks for nothing; name urls, searches or works")
        return self


class GalleryDlSource(Source):
    """A scrape by gallery-dl: images with `.json` sidecars, in a folder or inside zip or tar archives."""

    kind: Literal["gallery_dl"]
    images: str = ""  # of a `scrape`: <root>/fetched/<source>
    scrape: Scrape | None = None
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

    @model_validator(mode="after")
    def _images_are_there_or_fetched(self) -> "GalleryDlSource":
        if bool(self.images) == (self.scrape is not None):
            raise ValueError("name either images, which are there, or a scrape, which fetches them")
        return self

    def missing_inputs(self) -> list[tuple[str, str]]:
        named = [("images", None if self.scrape else self.images), ("preprocessed", self.preprocessed)]
        works = self.scrape.works if self.scrape else ()
        return self.unmatched("scrape.works", works) + [
            (key, f"{self.resolve(path)} is neither a folder nor an archive")
            for key, path in named
            if path is not None and not self.resolve(path).is_dir() and not self.files([path])
        ]


class UndatedSource(Source):
    """A source that states no year for its images: all of them belong to the year of the collection."""

    collected: int = Field(ge=FIRST_YEAR, le=LAST_YEAR)
    images: str | None = None  # a folder of files, or `url` to fetch them; without, every image is pending

    @property
    def years(self) -> tuple[int, ...]:
        return (self.collected,)

    def missing_images(self) -> list[tuple[str, str]]:
        if self.images is None or self.is_fetched or self.in_bucket or self.resolve(self.images).is_dir():
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


def parse_size(value: object) -> object:
    """Width and height from `640x960`; anything else is left to be judged as a pair of numbers."""
    if isinstance(value, str) and (sides := re.fullmatch(r"\s*(\d{1,5})\s*[xX×]\s*(\d{1,5})\s*", value)):
        return int(sides[1]), int(sides[2])
    if isinstance(value, str | int):
        raise ValueError(f"{value!r} is no width and height; write 640x960, or max_side for a square")
    return value


Side = Annotated[int, Field(ge=1, le=16_384)]


def parse_colour(value: object) -> str:
    """`auto`, `white`, `black` or `#rrggbb`. Raises: ValueError."""
    if isinstance(value, str) and re.fullmatch(r"auto|white|black|#[0-9a-fA-F]{6}", value):
        return value
    raise ValueError(f'{value!r} is no colour; write auto, white, black or "#rrggbb", in quotes')


Colour = Annotated[str, BeforeValidator(parse_colour)]


class TrainingImages(Settings):
    """What `training_images` makes: how images are fitted into a box, and how they are written."""

    fit: Literal["inside", "outside", "pad", "crop", "keep"] = "inside"
    max_side: Side = 512  # of a square box
    size: Annotated[tuple[Side, Side] | None, BeforeValidator(parse_size)] = None  # of a box that is no square
    enlarge: bool = False
    format: Literal["jpeg", "png", "webp"] = "jpeg"
    quality: int = Field(default=95, ge=1, le=100)
    background: Colour = "auto"  # behind transparency
    padding: Colour = "auto"  # around an image that is padded

    @model_validator(mode="after")
    def _says_one_size_that_the_format_holds(self) -> "TrainingImages":
        given = self.model_fields_set
        if self.size is not None and "max_side" in given:
            raise ValueError("max_side and size both say how large; keep one")
        if self.fit == "keep" and given & {"max_side", "size", "enlarge"}:
            raise ValueError("fit: keep leaves every size as it is; take max_side, size and enlarge out")
        if self.fit != "pad" and "padding" in given:
            raise ValueError(f"padding colours what fit: pad adds, and fit is {self.fit}; take padding out")
        if self.format == "png" and "quality" in given:
            raise ValueError("quality is of JPEG and WebP, and format is png; take quality out")
        if max(self.size or (self.max_side,)) > HELD_BY_EVERY_FORMAT:
            from dataset_assets.domain.training import TrainingRecipe  # brings NumPy and Pillow, which few need

            TrainingRecipe(max_side=self.max_side, size=self.size, format=self.format, quality=self.quality)
        return self


class OptimizedImages(Settings):
    """What `optimized_images` makes; with this block in dataset.yaml, a rebuild makes it."""

    metadata: Literal["keep", "strip"] = "keep"  # text, EXIF, XMP; profile and orientation always stay
    png_level: int = Field(default=2, ge=0, le=6)  # oxipng's: 1 is fast, above 2 little is gained
    progressive: bool = True  # false: baseline JPEGs are left as they are, for decoders that want them so


class Clip(Settings):
    """The model behind `clip_embeddings`, in open_clip's names."""

    model: str = "ViT-L-14-quickgelu"
    pretrained: str | None = "openai"
    batch_size: int = Field(default=32, ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # bf16 on a GPU, and on a processor with AMX
    random_weights: bool = False


class CocaCaptioner(Settings):
    """A CoCa model behind `model_captions`, in open_clip's names."""

    kind: Literal["coca"]
    model: str = "coca_ViT-L-14"
    pretrained: str | None = "mscoco_finetuned_laion2b_s13b_b90k"
    batch_size: int = Field(default=16, ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    random_weights: bool = False
    beams: int = Field(default=3, ge=1, le=64)  # 1 = greedy
    min_length: int = Field(default=5, ge=0, le=76)  # tokens, the start token included
    max_length: int = Field(default=30, ge=2, le=76)

    @model_validator(mode="after")
    def _lengths_are_a_span(self) -> "CocaCaptioner":
        require_span(self.min_length, self.max_length)
        return self


class Sampling(Settings):
    """Words drawn by lot among the likeliest. Each image has a seed of its own, made of this one and its id."""

    seed: int = Field(default=42, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int = Field(default=50, ge=1)


class BlipCaptioner(Settings):
    """A BLIP model behind `model_captions`. Defaults: those of kohya's `make_captions.py` with `--beam_search`.

    Without that option kohya's script draws lots: `sampling: {}` and `repetition_penalty: 1.1`.
    """

    kind: Literal["blip"]
    model: str = "hf-hub:Salesforce/blip-image-captioning-large"
    batch_size: int = Field(default=16, ge=1, le=4096)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    random_weights: bool = False
    prompt: str = Field(default="a picture of ", max_length=200)  # what a caption begins with; it is cut off again
    beams: int = Field(default=1, ge=1, le=64)  # 1 = greedy
    min_length: int = Field(default=5, ge=0, le=512)  # tokens, those of the prompt included
    max_length: int = Field(default=75, ge=2, le=512)
    repetition_penalty: float = Field(default=1.0, gt=0, le=10)
    sampling: Sampling | None = None

    @model_validator(mode="after")
    def _lengths_are_a_span(self) -> "BlipCaptioner":
        require_span(self.min_length, self.max_length)
        if self.sampling and self.beams > 1:
            raise ValueError("sampling draws one caption, beams compare several; leave one of the two out")
        return self


def require_span(min_length: int, max_length: int) -> None:
    """Refuse lengths that no caption can have. Raises: ValueError."""
    if min_length >= max_length:
        raise ValueError(f"min_length {min_length} is not below max_length {max_length}")


class TagThresholds(Settings):
    """From which score on a predicted tag counts as one; applied when scores are read, so a change costs nothing."""

    general: float = Field(default=0.35, ge=0, le=1)
    character: float = Field(default=0.85, ge=0, le=1)  # both as in the taggers' own demo


class Tagger(Settings):
    """The model behind `predicted_tags`: a repository of Hugging Face, or a folder with `selected_tags.csv` in it."""

    model: str = "SmilingWolf/wd-v1-4-vit-tagger-v2"
    floor: float = Field(default=0.05, ge=0.001, le=1)  # lower scores are not kept
    thresholds: TagThresholds = TagThresholds()
    learnt_from: tuple[str, ...] | None = None  # sources whose posts it was trained on; without, those of kind danbooru
    batch_size: int = Field(default=8, ge=1, le=1024)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    runtime: Literal["auto", "onnx", "timm"] = "auto"
    provider: str | None = Field(default=None, pattern=r"^[A-Za-z]{1,60}ExecutionProvider$")  # onnxruntime's name

    @model_validator(mode="after")
    def _floor_is_below_the_thresholds(self) -> "Tagger":
        if self.floor > min(self.thresholds.general, self.thresholds.character):
            raise ValueError("floor is above a threshold, so scores that it needs would not be kept")
        return self


class ScoreHead(Settings):
    """A linear head over CLIP vectors that gives each image a score."""

    weights: str = Field(min_length=1)  # a file, or an https:// URL: .safetensors or .pth
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    clip: str = "ViT-L-14-quickgelu/openai"  # the model whose vectors it was trained on, as `clip_embeddings` names it

    @property
    def is_remote(self) -> bool:
        return "://" in self.weights

    @model_validator(mode="after")
    def _a_url_is_checked(self) -> "ScoreHead":
        if self.is_remote and not self.weights.startswith("https://"):
            raise ValueError("weights is a file, or a URL that begins with https://")
        if self.is_remote and self.sha256 is None:
            raise ValueError("sha256 is missing; a file from the network is taken only if it is the one that is meant")
        return self


class ImageScores(Settings):
    """The heads behind `image_scores`."""

    aesthetic: ScoreHead | None = None
    quality: ScoreHead | None = None

    @model_validator(mode="after")
    def _names_a_head(self) -> "ImageScores":
        if self.aesthetic is None and self.quality is None:
            raise ValueError("name a head, under aesthetic or quality")
        return self


class IdList(FileSettings):
    """Text files of one post id a line, of one source; subsets may leave these posts out, or take no others."""

    file: Paths = Field(min_length=1)
    source: str


class NearDuplicates(Settings):
    """When two images are taken for one."""

    # Bits of 64 in which perceptual hashes may differ. Measured on drawings: 3 finds 88 to 99 % of copies that were
    # shrunk or compressed anew; a series of like drawings, such as playing cards, is told apart up to 1.
    max_distance: int = Field(default=3, ge=0, le=7)
    # Cosine of two vectors of `clip_embeddings` from which on they are duplicates too; null = vectors are not compared.
    min_cosine: float | None = Field(default=None, ge=0.8, le=1)


class RootBucket(Settings):
    """How buckets that are written to are reached: the root's, and those of exports. Keys are never written here: they
    come as all AWS programs find them.
    """

    region: str | None = Field(default=None, pattern=r"^[a-z0-9-]{1,40}$")
    endpoint: str | None = Field(default=None, pattern=r"^https?://[A-Za-z0-9.\[\]:-]{1,255}/?$")
    profile: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_.@+-]{1,100}$")
    cache: str = ".root_cache"  # the folder for copies of what is read; it may be removed at any time


class DatasetConfig(Settings):
    """All of dataset.yaml."""

    root: str = "./data"
    s3: RootBucket = RootBucket()
    sources: dict[str, AnySource] = Field(min_length=1)
    training_images: TrainingImages = TrainingImages()
    optimized_images: OptimizedImages | None = None
    clip: Clip = Clip()
    tagger: Tagger | None = None
    image_scores: ImageScores | None = None
    captioner: Annotated[CocaCaptioner | BlipCaptioner, Field(discriminator="kind")] | None = None
    near_duplicates: NearDuplicates = NearDuplicates()
    engine: Literal["local", "ray"] = "local"
    workers: int | None = Field(default=None, ge=1, le=1024)
    id_lists: dict[str, IdList] = Field(default_factory=dict)
    subsets: dict[str, Subset] = Field(default_factory=dict)
    releases: dict[str, Release] = Field(default_factory=dict)

    _file: Path = PrivateAttr(default=Path("dataset.yaml"))

    @model_validator(mode="after")
    def _predicted_tags_have_a_tagger(self) -> "DatasetConfig":
        for name, release in self.releases.items():
            if release.tags == "predicted" and self.tagger is None:
                raise ValueError(f"releases.{name}.tags: predicted asks for a tagger, and none is set")
        return self

    @field_validator("id_lists", "subsets", "releases", mode="before")
    @classmethod
    def _a_list_may_be_empty(cls, named: object) -> object:
        return {} if named is None else named  # as where all that stood below it is commented out

    @field_validator("optimized_images", "tagger", "image_scores", "captioner", mode="before")
    @classmethod
    def _a_block_says_something(cls, block: object) -> object:
        if block is None:  # nothing would be made of it, though it is there
            raise ValueError(SAYS_NOTHING)
        return block

    @field_validator("root")
    @classmethod
    def _root_is_a_folder_or_a_bucket(cls, root: str) -> str:
        if "://" in root:
            parse_s3_url(root)
        return root

    @model_validator(mode="after")
    def _buckets_have_no_links(self) -> "DatasetConfig":
        linked = [name for name, source in self.sources.items() if source.store == "link"]
        if linked and "://" in self.root:
            raise ValueError(f"sources.{linked[0]}.store: a bucket cannot hold links; use copy or reference")
        return self

    @model_validator(mode="after")
    def _one_way_to_each_bucket(self) -> "DatasetConfig":
        ways: dict[str, ImagesBucket] = {}
        for name, source in self.sources.items():
            bucket = source.images.split("/")[2] if source.images and source.in_bucket else None
            if bucket and ways.setdefault(bucket, source.s3) != source.s3:
                raise ValueError(f"sources.{name}.s3: another source reaches the bucket {bucket} in another way")
        return self

    @model_validator(mode="after")
    def _scores_that_are_asked_for_are_made(self) -> "DatasetConfig":
        for name, subset in self.subsets.items():
            for score in subset.asked_scores:
                if getattr(self.image_scores, score, None) is None:
                    key = "scores" if score in subset.scores else "where"
                    raise ValueError(f"subsets.{name}.{key}: asks for {score}_score; no image_scores.{score} is set")
        return self

    @field_validator("releases")
    @classmethod
    def _releases_have_names_of_folders(cls, named: dict[str, Any]) -> dict[str, Any]:
        for name in named:
            if not RELEASE_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: a release's name is 1 to 64 of a-z, 0-9, _ and -, and begins with neither")
        return named

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
    def root_path(self) -> Place:
        """The root's folder, or its place in a bucket."""
        if "://" not in self.root:
            return self._local(self.root)
        bucket, prefix = parse_s3_url(self.root)
        cache = self._local(self.s3.cache) / bucket / prefix
        return S3Place(bucket, prefix, cache, self.s3.region, self.s3.endpoint, self.s3.profile)

    def _local(self, path: str) -> Path:
        return (self._folder / Path(path).expanduser()).absolute()

    @cached_property
    def years(self) -> tuple[int, ...]:
        """Every year that some source declares, ascending."""
        return tuple(sorted({year for source in self.sources.values() for year in source.years}))

    @property
    def has_unique_subsets(self) -> bool:
        """Whether some subset leaves out duplicates, which are known when all sources are."""
        return any(subset.asks_duplicates for subset in self.subsets.values())

    def declares(self, source: str | None, year: int | None) -> bool:
        """Whether a partition is one of this dataset: of a source x year, of a source as a whole, or of all."""
        if source is None:
            return True
        return source in self.sources and (year is None or year in self.sources[source].years)

    def declared(self, source: str | None) -> str:
        """The years of a source, or the cells of all, in words: what a table over them is gathered from."""
        names = sorted(self.sources) if source is None else [source]
        years = {name: " ".join(map(str, self.sources[name].years)) for name in names if name in self.sources}
        return years.get(source, "") if source else ", ".join(f"{name} {said}" for name, said in years.items())

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
        """Refuse a root, or a cache of one, that cannot be written to. Raises: ConfigError."""
        at = self.root_path
        key, folder = ("root", at) if isinstance(at, Path) else ("s3.cache", at.cache)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise ConfigError(_report(self.file, [f"{key}: {folder} cannot be written to: {error}"])) from None


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
    _place_scrapes(config)
    if problems := _unknown_names(config):
        raise ConfigError(_report(file, problems))
    return config


def _place_scrapes(config: DatasetConfig) -> None:
    """Tell each source that scrapes where its files go: below the root. Raises: ConfigError for a root in a bucket."""
    for name, source in config.sources.items():
        if isinstance(source, GalleryDlSource) and source.scrape:
            if not isinstance(config.root_path, Path):
                problem = f"sources.{name}.scrape: gallery-dl writes files; with a root in a bucket scrape elsewhere"
                raise ConfigError(_report(config.file, [problem]))
            placed = source.model_copy(update={"images": str(config.root_path / "fetched" / name)})
            placed._folder = source._folder
            config.sources[name] = placed


def _unknown_names(config: DatasetConfig) -> list[str]:
    """What blocks name that is declared nowhere."""
    named = [(f"id_lists.{name}.source", listed.source, "source") for name, listed in config.id_lists.items()]
    named += [("tagger.learnt_from", found, "source") for found in (config.tagger and config.tagger.learnt_from) or ()]
    for name, subset in config.subsets.items():
        named += [(f"subsets.{name}.sources", source, "source") for source in subset.sources or ()]
        named += [(f"subsets.{name}.exclude", found, "id list") for found in subset.exclude]
        named += [(f"subsets.{name}.only", found, "id list") for found in subset.only]
        named += [(f"subsets.{name}.license", found, "licence") for found in _doubtful_licenses(config, subset)]
    for name, release in config.releases.items():
        named.append((f"releases.{name}.subset", release.subset, "subset"))
        named += [(f"releases.{name}.until", source, "source") for source in release.until]
        named += [(f"releases.{name}.previous", found, "release") for found in [release.previous] if found]
    known: dict[str, Iterable[str]] = {
        "source": config.sources,
        "licence": [source.license.name for source in config.sources.values()],
        "id list": config.id_lists,
        "subset": config.subsets,
        "release": config.releases,
    }
    return [
        f"{key}: there is no {what} {name!r}{_suggest(name, known[what])}"
        for key, name, what in named
        if name not in known[what]
    ]


def _doubtful_licenses(config: DatasetConfig, subset: Subset) -> list[str]:
    """Licences of a subset's list that no source has, where all are so, or where one that some source has is meant.

    A list may well name licences of sources that are still to come.
    """
    known = [source.license.name for source in config.sources.values()]
    unknown = [] if isinstance(subset.license, str) else [one for one in subset.license if one not in known]
    return unknown if len(unknown) == len(subset.license) else [one for one in unknown if _suggest(one, known)]


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
    kind_at = {"sources": 2, "captioner": 1}.get(path[0], len(path)) if path else 0
    del path[kind_at : kind_at + 1]  # pydantic names the kind there, which is no key
    key, kind, found = ".".join(path), problem["type"], problem["input"]
    if kind == "extra_forbidden":
        return f"{key}: unknown key"
    if kind == "missing":
        return f"{key}: missing"
    if kind == "union_tag_invalid":
        what = "source" if path[0] == "sources" else path[0]
        return f"{key}.kind: {found['kind']!r} is no kind of {what}; expected {problem['ctx']['expected_tags']}"
    if kind == "union_tag_not_found":
        kinds = "'danbooru', 'gallery_dl', 'pixiv_lists' or 'pd12m'" if path[0] == "sources" else "'coca' or 'blip'"
        return f"{key}.kind: missing; expected {kinds}"
    if kind in ("model_type", "dict_type"):
        return f"{key}: {SAYS_NOTHING if found is None else f'expected keys with values, found {found!r}'}"
    if kind == "value_error":
        return ": ".join(part for part in (key, str(problem["ctx"]["error"])) if part)
    return f"{key}: {problem['msg'][0].lower()}{problem['msg'][1:]}, found {found!r}"


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _report(file: Path, problems: list[str]) -> str:
    return "\n".join(f"{file}: {problem}" for problem in problems)
