"""The four states of a listed image, and the closed list of reasons behind three of them."""

from typing import Literal, get_args

State = Literal["stored", "excluded", "quarantined", "pending"]
STATES: tuple[State, ...] = get_args(State)

REASONS: dict[State, tuple[str, ...]] = {
    "stored": (),
    # A file that is what its post says, but no still image; or one that its host does not give, or not for this; or one
    # that is to stay out, see `takedowns`.
    "excluded": ("video", "audio", "flash", "archive", "document", "withheld", "opted_out", "taken_down"),
    # Bytes that cannot be what the post says.
    "quarantined": (
        *("empty_file", "not_an_image", "too_large", "unreadable_file", "worker_died", "worker_timeout"),
        # Of a fetch: asking again would bring the same.
        *("gone", "md5_mismatch", "refused_url", "blocked_address", "too_many_redirects"),
    ),
    # May come right on a later run, so every run tries again; a fetch is asked for again when its time has come.
    "pending": (
        *("file_missing", "changed_while_read"),
        *("dns_failed", "connect_failed", "tls_failed", "connection_lost", "timed_out", "too_slow", "host_down"),
        *("server_error", "rate_limited", "refused", "bad_response", "cut_off"),
    ),
}

# Reasons that tell of the network, not of the image: no host answered.
NETWORK_REASONS = ("dns_failed", "connect_failed", "tls_failed", "connection_lost", "timed_out")
# What is worth asking for once more within the same run.
PASSING_REASONS = (*NETWORK_REASONS, "too_slow", "server_error", "rate_limited", "bad_response", "cut_off")


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

# Why an optimized image is its original, byte for byte.
KeptBecause = Literal[
    "other_format",  # no PNG and no JPEG
    "several_pictures",  # a JPEG that holds more than one (MPO, gain maps); optimizers drop the others
    "too_deep",  # a colour PNG of 16 bits a channel, of which the decoder reads 8: nothing could be proven
    "unreadable",  # it does not decode
    "not_optimizable",  # the optimizer refused it
    "no_gain",  # it would not have become smaller
    "pixels_differ",
    "metadata_differs",
    "worker_died",
    "worker_timeout",
]
KEPT_REASONS: tuple[KeptBecause, ...] = get_args(KeptBecause)
