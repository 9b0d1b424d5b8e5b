"""Staleness is judged as Dagster judges it, with fewer questions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, DataProvenance
from dagster._core.definitions.events import AssetKeyPartitionKey
from dagster._core.loader import LoadingContextForTest

from dataset_assets import definitions as definitions_module
from dataset_assets.config import load_config
from dataset_assets.domain.schemas import Column, Table
from dataset_assets.staleness import Staleness, _Resolver
from dataset_assets.storage.tables import Cell, Tables

SETTINGS = """
root: data
sources: {m: {kind: danbooru, metadata: m, images: i, years: [2005], license: {name: n, basis: b}}}
"""
YEARS = dg.StaticPartitionsDefinition(["2005", "2006"])
UP, DOWN = dg.AssetKey("up"), dg.AssetKey("down")


class Content(dg.Config):
    version: str = "1"


@dg.asset(partitions_def=YEARS)
def up(config: Content) -> dg.MaterializeResult[None]:
    """Has the content that a run is told."""
    return dg.MaterializeResult(data_version=dg.DataVersion(config.version))


@dg.asset(partitions_def=YEARS, deps=[up])
def down() -> dg.MaterializeResult[None]:
    """Follows from the other."""
    return dg.MaterializeResult(data_version=dg.DataVersion("1"))


@pytest.mark.parametrize(("later", "status"), [(None, "FRESH"), ("1", "FRESH"), ("2", "STALE")])
def test_a_year_is_judged_as_dagster_judges_it(later: str | None, status: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for year in ("2005", "2006"):
            dg.materialize([up, down], instance=instance, partition_key=year)
        if later is not None:
            again: dict[str, Any] = {"ops": {"up": {"config": {"version": later}}}}
            dg.materialize([up], instance=instance, partition_key="2006", run_config=again)
        graph = dg.Definitions([up, down]).resolve_asset_graph()
        for resolver in (CachingStaleStatusResolver, _Resolver):
            judged = resolver(instance, graph, LoadingContextForTest(instance))
            assert judged.get_status(DOWN, "2006").name == status, resolver
            assert judged.get_status(DOWN, "2005").name == "FRESH", resolver


def test_all_years_of_a_dependency_are_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def latest(asset: dg.AssetKey, event: dg.DagsterEventType) -> Mapping[str, int]:
        asked.append((asset, event))
        return {"2005": 7, "2006": 8}

    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(instance, "get_latest_storage_id_by_partition", latest)
        monkeypatch.setattr(instance, "fetch_materializations", None)  # a question for each year would fail
        graph = dg.Definitions([up, down]).resolve_asset_graph()
        judged = _Resolver(instance, graph, LoadingContextForTest(instance))
        made_from = DataProvenance("1", {}, {UP: 8}, is_user_provided=True)
        for year in YEARS.get_partition_keys():
            assert not judged._is_dep_updated(made_from, AssetKeyPartitionKey(UP, year))
    assert asked == [(UP, dg.DagsterEventType.ASSET_MATERIALIZATION)]


def table_asset(name: str, tables: Tables, deps: list[str]) -> dg.AssetsDefinition:
    """An asset whose table has one row, of the content that a run is told."""
    table = Table(name, "row", (Column("image_id", pl.String, "what a run is told"),))

    @dg.asset(name=name, deps=deps)
    def made(context: dg.AssetExecutionContext, config: Content) -> dg.MaterializeResult[None]:
        staged = tables.stage(table, Cell(), table.frame([{"image_id": config.version}]))
        commit = tables.commit(staged, context.run.run_id)
        return dg.MaterializeResult(data_version=dg.DataVersion(commit.data_version))

    return made


def test_what_an_asset_is_made_from_is_judged_through_the_whole_chain(tmp_path: Path) -> None:
    (tmp_path / "dataset.yaml").write_text(SETTINGS, "utf-8")
    config = load_config(tmp_path / "dataset.yaml")
    chain = [
        table_asset(name, Tables(config.root_path), deps)
        for name, deps in (("first", []), ("second", ["first"]), ("third", ["second"]), ("beside", ["first"]))
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize(chain, instance=instance)
        again: dict[str, Any] = {"ops": {"first": {"config": {"version": "2"}}}}

        def judged(name: str) -> tuple[list[str], list[str]]:
            staleness, key = Staleness(dg.Definitions(chain), instance, config), dg.AssetKey(name)
            found = staleness.of([key], Cell()), staleness.made_from_stale([key])
            direct, above = ([verdict.asset.to_user_string() for verdict in some] for some in found)
            return direct, above

        assert judged("third") == ([], [])
        dg.materialize(chain[:1], instance=instance, run_config=again)
        assert judged("third") == ([], ["second"]), "its own input is what it was"
        assert judged("second") == (["second"], [])


def test_importing_the_definitions_builds_no_graph() -> None:
    assert not any(isinstance(value, dg.Definitions) for value in vars(definitions_module).values())
    assert callable(definitions_module.defs)
