"""The graph of a dataset.yaml, and the Dagster instance that remembers its runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_assets.config import DatasetConfig
from dataset_assets.environment import dagster_home

if TYPE_CHECKING:
    import dagster as dg

NO_CAPTURE = {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}


@contextmanager
def dagster_of(config: DatasetConfig) -> Iterator[tuple["dg.Definitions", "dg.DagsterInstance"]]:
    """The graph, and the instance, closed at the end. Importing Dagster takes a second, so it is done here."""
    home = dagster_home(config)
    from dataset_assets.definitions import build

    with _instance_in(home) as instance:
        yield build(config), instance


def _instance_in(home: Path) -> "dg.DagsterInstance":
    """The instance in a DAGSTER_HOME; what runs print goes to the terminal alone, unless dagster.yaml says otherwise.

    To keep it for the UI, Dagster starts four programs for each run, two of them Python's, which answer Ctrl-C with
    tracebacks. What runs say of themselves is in its log in any case.
    """
    # No public way leads to an instance with one setting changed.
    from dagster import DagsterInstance
    from dagster._core.instance.config import dagster_instance_config
    from dagster._core.instance.ref import InstanceRef

    said, _ = dagster_instance_config(str(home))
    overrides = {} if "compute_logs" in said else {"compute_logs": NO_CAPTURE}
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(home), overrides=overrides))
