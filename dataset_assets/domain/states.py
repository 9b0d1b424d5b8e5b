"""The four states of a listed image, and the closed list of reasons behind three of them."""

from typing import Literal, get_args

State = Literal["stored", "excluded", "quarantined", "pending"]
STATES: tuple[State, ...] = get_args(State)

REASONS: dict[State, tuple[str, ...]] = {
    "stored": (),
    # A file that is what its post says, but no still image.
    "excluded": ("video", "audio", "flash", "archive", "document"),
    # Bytes that cannot be what the post says.
    "quarantined": ("empty_file", "not_an_image", "too_large", "unreadable_file", "worker_died", "worker_timeout"),
    # May come right on a later run, so every run tries again.
    "pending": ("file_missing", "changed_while_read"),
}


def is_lawful(state: str, reason: str | None) -> bool:
    """Whether the pair is one that a row of `raw_images` may hold: no reason when stored, else one from the list."""
    return state in REASONS and (reason is None if state == "stored" else reason in REASONS[state])


# Why a line or file of an export is no record; the row of `rejected_records` says more in its detail.
REJECT_REASONS = (
    "bad_encoding",
    "not_json",
    "not_an_object",
    "line_too_long",
    "no_id",
    "not_a_post",  # a record of another table, such as a tag, among posts
    "bad_id",
    "bad_date",
    "duplicate_id",
    "unsafe_path",
    "unreadable_file",
    "bad_relation",  # an alias or implication without two tag names, or of no status
    "bad_field",  # a field of a side table that is not what it should be
    "orphan_file",  # an image that no record names
)

# Errors of a per-image table that tell of a stored file gone or changed, not of the image.
FILE_ERRORS = ("missing_file", "damaged_file")
