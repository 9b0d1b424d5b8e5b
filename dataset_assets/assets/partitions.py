"""The two partitionings of the graph, source x year and source, as dataset.yaml declares them."""

from dataclasses import dataclass

import dagster as dg

from dataset_assets.config import DatasetConfig


@dataclass(frozen=True)
class Partitions:
    """Static partitions: a closed archive has no next year that a schedule could wait for."""

    source: dg.StaticPartitionsDefinition
    source_year: dg.MultiPartitionsDefinition

    @classmethod
    def of(cls, config: DatasetConfig) -> "Partitions":
        source = dg.StaticPartitionsDefinition(sorted(config.sources))
        year = dg.StaticPartitionsDefinition([str(year) for year in config.years])
        # Dagster orders dimensions by name, so a key is always `source|year`.
        return cls(source, dg.MultiPartitionsDefinition({"source": source, "year": year}))
