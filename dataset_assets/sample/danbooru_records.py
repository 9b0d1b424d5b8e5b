"""A post's record as Danbooru's two exports wrote it: the older as strings throughout, the newer with absent nulls."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from dataset_assets.sample.danbooru_posts import SERIES, Post

# Their numbers in the older export; 2 is not used.
CATEGORIES = {"general": 0, "artist": 1, "copyright": 3, "character": 4, "meta": 5}
OLD_KEYS = [
    "id",
    "created_at",
    "uploader_id",
    "score",
    "source",
    "md5",
    "last_commented_at",
    "rating",
    "image_width",
    "image_height",
    "is_note_locked",
    "file_ext",
    "last_noted_at",
    "is_rating_locked",
    "parent_id",
    "has_children",
    "approver_id",
    "file_size",
    "is_status_locked",
    "up_score",
    "down_score",
    "is_pending",
    "is_flagged",
    "is_deleted",
    "updated_at",
    "is_banned",
    "pixiv_id",
    "tags",
    "pools",
    "favs",
]
NEVER = "1970-01-01 00:00:00 UTC"
HIGH_WIDTH, HIGH_HEIGHT, LOW_SIDE = 1600, 1200, 500  # where Danbooru's tags highres and lowres begin
SITE = "https://danbooru.example"  # a name that leads nowhere


@dataclass(frozen=True)
class Listed:
    """A post with its number, its time, and the file that was uploaded."""

    post: Post
    id: int
    created_at: datetime
    size: tuple[int, int]
    extension: str
    data: bytes
    parent_id: int | None
    has_children: bool

    @property
    def md5(self) -> str:
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

    def tags(self) -> dict[str, list[str]]:
        """Names by category, ordered by name."""
        general = self.post.order.tags() if self.post.order else set()
        series = [] if self.post.order is None else [self.post.series]
        named: dict[str, set[str]] = {
            "general": general,
            "artist": {self.post.artist},
            "copyright": set(series),
            "character": set(self.post.characters),
            "meta": {*self.post.meta, *self._size_tags(), *self._chance_meta()},
        }
        return {category: sorted(names) for category, names in named.items()}

    def _size_tags(self) -> set[str]:
        width, height = self.size
        if width >= HIGH_WIDTH or height >= HIGH_HEIGHT:
            return {"highres"}
        return {"lowres"} if max(self.size) <= LOW_SIDE else set()

    def _chance_meta(self) -> set[str]:
        chance = self.chance("meta")
        return {name for name, odds in (("commentary", 0.25), ("commentary_request", 0.15)) if chance.random() < odds}

    def chance(self, purpose: str) -> Random:
        return Random(f"{purpose} of post {self.post.name}")


def common_fields(listed: Listed) -> dict[str, Any]:
    """What both exports say, with real types; null where there is nothing."""
    chance, post = listed.chance("votes"), listed.post
    up, down = int(chance.expovariate(1 / 14)), -int(chance.expovariate(1 / 1.2))
    rating = chance.choices("sqe", (82, 13, 5))[0]
    state = chance.random()
    return {
        "id": listed.id,
        "created_at": _time(listed.created_at),
        "uploader_id": chance.choice((13056, 48530, 121042, 503835, 460797)),
        "score": up + down,
        "source": _source(listed),
        "md5": listed.md5,
        "rating": rating,
        "image_width": listed.size[0],
        "image_height": listed.size[1],
        "is_note_locked": False,
        "file_ext": listed.extension,
        "is_rating_locked": False,
        "parent_id": listed.parent_id,
        "has_children": listed.has_children,
        "approver_id": chance.choice((None, None, 503835, 460797)),
        "file_size": len(listed.data),
        "is_status_locked": False,
        "up_score": up,
        "down_score": down,
        "is_pending": post.name == "someone-21",
        "is_flagged": post.name == "someone-30",
        "is_deleted": state < 0.03,
        "updated_at": _time(listed.created_at + timedelta(days=chance.uniform(0, 20))),
        "is_banned": False,
        "pixiv_id": _pixiv_id(listed),
    }


def _time(moment: datetime) -> str:
    """UTC; the fraction without its last zeros, and none at all for a whole second."""
    text = moment.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").rstrip(".")
    return f"{text} UTC"


def _pixiv_id(listed: Listed) -> int | None:
    if listed.post.niji_id:
        return listed.post.niji_id
    chance = listed.chance("pixiv")
    return chance.randrange(71_000_000, 94_000_000) if chance.random() < 0.3 else None


def _source(listed: Listed) -> str:
    pixiv_id = _pixiv_id(listed)
    if pixiv_id:
        return f"https://www.pixiv.net/artworks/{pixiv_id}"
    chance = listed.chance("source")
    return f"https://{listed.post.artist.split('_')[0]}.example/{listed.post.name}" if chance.random() < 0.7 else ""


def old_record(listed: Listed) -> dict[str, Any]:
    """The schema of Danbooru2017 to 2020, in its order of keys."""
    fields = {key: _as_old(key, value) for key, value in common_fields(listed).items()}
    chance = listed.chance("favourites")
    tags = [
        {"id": tag_id(name), "name": name, "category": str(CATEGORIES[category])}
        for category, names in listed.tags().items()
        for name in names
    ]
    if listed.post.name == "cast-0":
        tags.append(tags[0])  # as it happens in the real export
    fields |= {
        "last_commented_at": NEVER,
        "last_noted_at": NEVER,
        "tags": sorted(tags, key=lambda tag: tag["name"]),
        "pools": _old_pools(listed.post.pool),
        "favs": [str(chance.randrange(10_000, 700_000)) for _ in range(int(chance.expovariate(1 / 5)))],
    }
    return {key: fields[key] for key in OLD_KEYS}


def _as_old(key: str, value: Any) -> Any:
    if isinstance(value, bool):
        return value
    return "0" if value is None else str(value)


def _old_pools(pool: int | None) -> list[str]:
    """Ids and kinds in one list, as the export has them."""
    return [] if pool is None else [str(pool), "series" if pool == SERIES else "collection"]


def tag_id(name: str) -> str:
    """A number for a tag, always the same."""
    return str(int(hashlib.sha256(name.encode()).hexdigest()[:10], 16) % 1_700_000 + 1)


def new_record(listed: Listed) -> dict[str, Any]:
    """The schema of Danbooru2021: integers as strings, and what is null left out."""
    tags = listed.tags()
    fields = common_fields(listed)
    folder = f"{listed.md5[:2]}/{listed.md5[2:4]}"
    fields |= {
        "fav_count": int(listed.chance("favourites").expovariate(1 / 20)),
        "tag_string": " ".join(sorted(name for names in tags.values() for name in names)),
        "pool_string": "" if listed.post.pool is None else f"pool:{listed.post.pool}",
        "last_noted_at": None,
        "last_commented_at": None,
        "last_comment_bumped_at": None,
        "has_active_children": listed.has_children,
        "has_visible_children": listed.has_children,
        "has_large": listed.size[0] > 850,
        "bit_flags": 2,
        "tag_count": sum(map(len, tags.values())),
        **{f"tag_count_{category}": len(names) for category, names in tags.items()},
        **{f"tag_string_{category}": " ".join(names) for category, names in tags.items()},
        "file_url": f"{SITE}/original/{folder}/{listed.md5}.{listed.extension}",
        "large_file_url": f"{SITE}/sample/{folder}/sample-{listed.md5}.jpg",
        "preview_file_url": f"{SITE}/preview/{folder}/{listed.md5}.jpg",
    }
    return {key: _as_new(value) for key, value in fields.items() if value is not None}


def _as_new(value: Any) -> Any:
    return value if isinstance(value, (bool, str)) else str(value)


def withheld(record: dict[str, Any]) -> dict[str, Any]:
    """A banned post's record: without id, MD5 and addresses."""
    hidden = {"id", "md5", "file_url", "large_file_url", "preview_file_url"}
    return {key: value for key, value in record.items() if key not in hidden} | {"is_banned": True}
