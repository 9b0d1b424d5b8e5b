"""How commands end: their exit codes, and the error of what cannot be meant."""

from dataset_assets.config import ConfigError

FAILED, WRONG_USE, DAMAGED, LOCKED, UNAVAILABLE, STOPPED = 1, 2, 4, 5, 6, 130


class WrongUse(ConfigError):
    """An argument that cannot be meant."""
