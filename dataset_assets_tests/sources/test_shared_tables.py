"""The tables that all sources share."""

import polars as pl
import pytest
from pydantic import ValidationError

from dataset_assets.config import DanbooruSource
from dataset_assets.domain.schemas import IMAGE_METADATA
from dataset_assets.sources.shared_tables import shown_at

IMAGES = IMAGE_METADATA.frame([{"image_id": "a-7-0", "post_id": "7", "page_url": "https://danbooru.donmai.us/posts/7"}])


def source(**fields: object) -> DanbooruSource:
    known = {"kind": "danbooru", "metadata": "m.json", "images": "original", "years": [2005]}
    return DanbooruSource.model_validate({**known, "license": {"name": "CC0-1.0", "basis": "the site"}, **fields})


def test_posts_of_another_site_are_shown_there() -> None:
    found = shown_at(IMAGES.lazy(), "https://example.org/detail/{post_id}?from=list").collect()

    assert found["page_url"].to_list() == ["https://example.org/detail/7?from=list"]
    assert found.schema == IMAGES.schema


def test_without_an_address_they_are_shown_where_their_kind_is() -> None:
    assert source().shown_at is None
    assert shown_at(IMAGES.lazy(), None).collect().equals(IMAGES)


@pytest.mark.parametrize(
    "address",
    ["example.org/{post_id}", "https://example.org/", "https://me:secret@example.org/{post_id}", "https://a/{post_id}{x}",
     "javascript:alert({post_id})", "https://a/ {post_id}"],
)  # fmt: skip
def test_an_address_that_names_no_page_or_tells_a_password_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="page_url"):
        source(page_url=address)


def test_an_address_with_the_posts_id_is_taken() -> None:
    address = "https://example.org/posts/{post_id}.html"

    assert source(page_url=address).shown_at == address
    assert (
        pl.select(pl.format(address.replace("{post_id}", "{}"), pl.lit("7"))).item()
        == "https://example.org/posts/7.html"
    )
