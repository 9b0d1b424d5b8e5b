"""Writes the sample's Pixiv works as gallery-dl 1.24.1 left them, zipped: `nijijourney/<id>_p<n>.<ext>` and sidecars.

Source: mikf/gallery-dl v1.24.1, gallery_dl/extractor/pixiv.py and gallery_dl/postprocessor/metadata.py.
"""

import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, timedelta
from pathlib import Path
from random import Random
from typing import Any

from dataset_assets.sample.encoding import ENCODINGS
from dataset_assets.sample.niji_works import Work, works

ARCHIVE = "nijijourney_pixiv_2022110620221222_raw.zip"
PACKED = (2022, 12, 27, 0, 0, 0)  # the one time of all members, so that equal works give equal bytes
RATINGS = ("General", "R-18", "R-18G")

# Danbooru's words as Pixiv's users write them; what is not here, they do not tag.
JAPANESE = {
    "1girl": "女の子",
    "1boy": "男の子",
    "blue_hair": "青髪",
    "black_hair": "黒髪",
    "brown_hair": "茶髪",
    "blonde_hair": "金髪",
    "pink_hair": "ピンク髪",
    "red_hair": "赤髪",
    "green_hair": "緑髪",
    "purple_hair": "紫髪",
    "white_hair": "白髪",
    "grey_hair": "銀髪",
    "orange_hair": "オレンジ髪",
    "aqua_hair": "水色髪",
    "twintails": "ツインテール",
    "ponytail": "ポニーテール",
    "double_bun": "お団子",
    "cat_ears": "猫耳",
    "rabbit_ears": "うさ耳",
    "glasses": "眼鏡",
    "witch_hat": "魔女",
    "straw_hat": "麦わら帽子",
    "halo": "天使の輪",
    "headphones": "ヘッドホン",
    "serafuku": "セーラー服",
    "kimono": "着物",
    "hoodie": "パーカー",
    "heterochromia": "オッドアイ",
    "dark_skin": "褐色",
    "scenery": "風景",
    "night_sky": "夜空",
    "starry_sky": "星空",
    "ocean": "海",
    "sunset": "夕焼け",
    "cityscape": "街並み",
    "forest": "森",
    "flower_field": "花畑",
    "snow": "雪",
    "lake": "湖",
    "mountain": "山",
    "full_moon": "満月",
    "chibi": "ちびキャラ",
    "lineart": "線画",
    "falling_petals": "花びら",
}


def write_niji(folder: Path) -> int:
    """Write the archive into the folder and return how many images it has."""
    folder.mkdir(parents=True, exist_ok=True)
    images = 0
    with zipfile.ZipFile(folder / ARCHIVE, "w", zipfile.ZIP_STORED) as archive:
        for name, data in _members():
            member = zipfile.ZipInfo(f"nijijourney/{name}", PACKED)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, data)
            images += not name.endswith(".json")
    return images


def _members() -> Iterator[tuple[str, bytes]]:
    """Images and sidecars, ordered by name."""
    for work in works():
        for page, order in enumerate(work.pages):
            name = f"{work.id}_p{page}.{work.extension}"
            if work.fault != "no_image":
                yield name, ENCODINGS["jpeg" if work.extension == "jpg" else "png"][1](order.draw())
            if work.fault != "no_sidecar":
                sidecar = _json(_sidecar(work, page))
                yield f"{name}.json", sidecar[: len(sidecar) // 3] if work.fault == "damaged_sidecar" else sidecar


def _json(sidecar: dict[str, Any]) -> bytes:
    return (json.dumps(sidecar, indent=4, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _sidecar(work: Work, page: int) -> dict[str, Any]:
    """The keys of a search run. Width and height are the first page's on every page, as Pixiv's API has them."""
    chance = Random(f"niji {work.id}")
    width, height = work.pages[0].size
    views = int(chance.lognormvariate(6, 1))
    return {
        "caption": _caption(work, chance),
        "category": "pixiv",
        "create_date": (work.created_at + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M:%S+09:00"),
        "date": work.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "extension": work.extension,
        "filename": f"{work.id}_p{page}",
        "height": height,
        "id": work.id,
        "illust_ai_type": work.ai_type,
        "illust_book_style": 0,
        "is_bookmarked": False,
        "is_muted": False,
        "num": page,
        "page_count": len(work.pages),
        "rating": RATINGS[work.x_restrict],
        "restrict": 0,
        "sanity_level": 6 if work.x_restrict else chance.choice((2, 2, 2, 4)),
        "search": {
            "date_end": None,
            "date_start": None,
            "sort": "date_desc",
            "target": "exact_match_for_tags",
            "word": "nijijourney",
        },
        "series": None,
        "subcategory": "search",
        "suffix": f"_p{page:02d}" if len(work.pages) > 1 else "",
        "tags": _tags(work),
        "title": work.title,
        "tools": [],
        "total_bookmarks": int(views * chance.uniform(0.02, 0.2)),
        "total_view": views,
        "type": "illust",
        "user": _user(work),
        "visible": True,
        "width": width,
        "x_restrict": work.x_restrict,
    }


def _caption(work: Work, chance: Random) -> str:
    words = (
        "",
        "にじジャーニーで作りました。",
        "加筆あり<br />アプリ：niji・journey",
        "プロンプトは <strong>ひみつ</strong> です",
    )
    return chance.choice(words)


def _tags(work: Work) -> list[str]:
    restricted = [name for name in RATINGS[work.x_restrict : work.x_restrict + 1] if work.x_restrict]
    declared = ["AIイラスト"] if work.ai_type == 2 else []
    shown = [JAPANESE[tag] for tag in sorted(work.pages[0].tags()) if tag in JAPANESE]
    return [*restricted, *declared, "nijijourney", "オリジナル", *shown]


def _user(work: Work) -> dict[str, Any]:
    return {
        "account": work.artist.account,
        "id": work.artist.id,
        "is_followed": False,
        "name": work.artist.name,
        "profile_image_urls": {"medium": "https://s.pximg.net/common/images/no_profile.png"},
    }
