"""Which dataset.yaml is meant, and where Dagster keeps its runs. The only module that reads the environment.

Kept apart from the resources, which bring Dagster: a search is answered before Dagster would be imported.
"""

import os
from importlib.resources import files
from pathlib import Path

from dataset_assets.config import DatasetConfig, load_config

CONFIG_VARIABLE = "DATASET_ASSETS_CONFIG"
TOKEN_VARIABLE = "PIXIV_REFRESH_TOKEN"
GALLERY_DL_VARIABLE = "DATASET_ASSETS_GALLERY_DL"
HOME_VARIABLE = "DAGSTER_HOME"
SAMPLE_CONFIG = Path(str(files("dataset_assets") / "sample" / "dataset.yaml"))
SAMPLE_FOLDER = "demo"
# What a new DAGSTER_HOME begins with; a dagster.yaml that is there stays as it is.
DAGSTER_YAML = """\
telemetry: {enabled: false}
nux: {enabled: false}  # no newsletter window over the graph
"""


def config_from_environment() -> DatasetConfig:
    """The dataset.yaml that DATASET_ASSETS_CONFIG names, or that lies in this folder; else the sample, below ./demo.

    Raises: ConfigError.
    """
    if named := os.environ.get(CONFIG_VARIABLE):
        return load_config(Path(named).expanduser())
    if Path("dataset.yaml").exists():
        return load_config(Path("dataset.yaml"))
    drawn = Path(SAMPLE_FOLDER) / "dataset.yaml"
    return load_config(drawn) if drawn.exists() else load_config(SAMPLE_CONFIG, folder=Path(SAMPLE_FOLDER))


def pixiv_refresh_token() -> str | None:
    """The login of Pixiv that gallery-dl is handed; null = none is set."""
    return os.environ.get(TOKEN_VARIABLE) or None


def gallery_dl_program() -> str | None:
    """The gallery-dl that DATASET_ASSETS_GALLERY_DL names; null = the one that is installed."""
    return os.environ.get(GALLERY_DL_VARIABLE) or None


def dagster_home(config: DatasetConfig) -> Path:
    """Where Dagster keeps its runs: DAGSTER_HOME, or `.dagster_home` beside dataset.yaml. The folder is made."""
    home = Path(os.environ.get(HOME_VARIABLE) or config.folder / ".dagster_home").expanduser().absolute()
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").write_text(DAGSTER_YAML, "utf-8")
    os.environ[HOME_VARIABLE] = str(home)
    return home
