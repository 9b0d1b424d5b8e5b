"""What makes the members of a release anew."""

from pathlib import Path

from dataset_assets.assets.graph import Graph
from dataset_assets.assets.releases import members_assets
from dataset_assets_tests.mirror import Mirror

RELEASE = """
tagger: {{model: some/tagger, thresholds: {{general: {general}}}}}
releases:
  one: {{subset: girls, formats: ids, tags: {tags}}}
"""


def version(folder: Path, tags: str, general: float) -> str:
    """The code version of the members' asset, which Dagster takes for a sign of change."""
    mirror = Mirror.make(folder / f"{tags}{general}", posts_by_year=0)
    settings = mirror.config_file.read_text("utf-8")
    mirror.config_file.write_text(settings + RELEASE.format(tags=tags, general=general), "utf-8")
    [asset] = members_assets(Graph.of(mirror.config))
    [found] = asset.code_versions_by_key.values()
    return str(found)


def test_another_threshold_makes_members_anew_whose_tags_are_the_taggers_and_no_others(tmp_path: Path) -> None:
    assert version(tmp_path, "predicted", 0.35) != version(tmp_path, "predicted", 0.5)
    assert version(tmp_path, "source", 0.35) == version(tmp_path, "source", 0.5)
