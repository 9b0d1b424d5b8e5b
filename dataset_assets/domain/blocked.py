"""Files and pictures that may not come in, whatever they are called. Imported by every worker, so it stays light."""

from collections.abc import Mapping
from dataclasses import dataclass, field

REASON = "taken_down"  # why an image is excluded, in `raw_images`


@dataclass(frozen=True)
class Blocked:
    """Hash to the takedown request that keeps it out; see `takedowns.blocked_by`."""

    sha256: Mapping[str, str] = field(default_factory=dict)
    md5: Mapping[str, str] = field(default_factory=dict)
    pixel_hash: Mapping[str, str] = field(default_factory=dict)

    def file(self, sha256: str, md5: str) -> str | None:
        """Why a file of these hashes stays out, in words; null = it may come in."""
        for name, value, blocked in (("SHA-256", sha256, self.sha256), ("MD5", md5, self.md5)):
            if value in blocked:
                return f"takedown {blocked[value]}: a file of this {name} was taken down"
        return None


NOTHING = Blocked()
