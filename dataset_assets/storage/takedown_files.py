"""Files of takedown requests below the root: each is written once, and none is ever changed."""

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from dataset_assets.domain.takedowns import Takedown, takedowns_in
from dataset_assets.places import Place
from dataset_assets.storage.root import opened

FOLDER = "takedowns"
PROOFS = f"{FOLDER}/proofs"
SUFFIX = ".jsonl"


@dataclass(frozen=True)
class TakedownFiles:
    """What was taken down below one root, and the proofs that it is gone."""

    root: Place

    def all(self) -> list[Takedown]:
        """Every request, the lifted ones too, in order of time. Raises: BadTakedown."""
        root = opened(self.root)
        names = [name for name in root.names(f"{FOLDER}/") if name.endswith(SUFFIX)]
        return takedowns_in(zip(names, root.each(lambda name: _content(self.root, name), names), strict=True))

    def active(self) -> list[Takedown]:
        """Those that are not lifted. Raises: BadTakedown."""
        return [one for one in self.all() if not one.is_lifted]

    def add(self, lines: Iterable[bytes], at: datetime | None = None) -> str:
        """Write lines as a file of their own: a bucket has no way to add to one that another may be writing."""
        moment = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
        name = f"{FOLDER}/{moment}-{uuid.uuid4().hex[:8]}{SUFFIX}"
        opened(self.root).put(name, b"".join(lines))
        return name

    def proof(self, request: str) -> dict[str, Any] | None:
        """What is known of a request's removal; null = nothing was removed yet."""
        try:
            found: dict[str, Any] = json.loads(opened(self.root).get(self.proof_name(request)))
        except FileNotFoundError:
            return None
        return found

    def write_proof(self, request: str, proof: dict[str, Any]) -> None:
        """Keep what is known of a request's removal."""
        text = json.dumps(proof, indent=1, ensure_ascii=False) + "\n"
        opened(self.root).put(self.proof_name(request), text.encode())

    @staticmethod
    def proof_name(request: str) -> str:
        """Where a request's proof lies below the root."""
        return f"{PROOFS}/{request}.json"


@lru_cache(maxsize=4096)
def _content(root: Place, name: str) -> bytes:
    """A file's content, which never changes: every partition of a rebuild asks for it."""
    return opened(root).get(name)
