"""Which of a root's partitions belong to the dataset: a year taken out of dataset.yaml leaves its tables there."""

from collections.abc import Iterable

from dataset_assets.config import DatasetConfig
from dataset_assets.storage.tables import Cell, Tables


def declared_cells(
    config: DatasetConfig, name: str, sources: Iterable[str] | None = None, years: Iterable[int] | None = None
) -> list[Cell]:
    """The partitions of a table that exist and that dataset.yaml declares, of these sources and years, in order."""
    wanted_sources, wanted_years = (None if wanted is None else set(wanted) for wanted in (sources, years))
    return [
        cell
        for cell in Tables(config.root_path).cells(name)
        if config.declares(cell.source, cell.year)
        and (wanted_sources is None or cell.source in wanted_sources)
        and (wanted_years is None or cell.year in wanted_years)
    ]
