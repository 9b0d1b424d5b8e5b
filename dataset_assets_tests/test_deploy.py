"""The settings for a shared installation are what Dagster reads."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dataset_assets_tests.buckets import credentials
from dataset_assets_tests.s3_server import make_bucket, s3_client, s3_server

__all__ = ["credentials"]

DAGSTER_YAML = Path(__file__).parent.parent / "deploy" / "dagster.yaml"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with s3_server() as served:
        yield served


def test_what_runs_print_lands_in_the_bucket(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_bucket(port, "logs-of-runs")
    monkeypatch.setenv("DATASET_ASSETS_LOG_BUCKET", "logs-of-runs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    shutil.copy(DAGSTER_YAML, tmp_path / "dagster.yaml")

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        manager = instance.compute_log_manager
        assert type(manager).__name__ == "S3ComputeLogManager"
        with manager.open_log_stream(["a-run", "compute_logs", "a-step"], _out()) as stream:
            assert stream is not None
            stream.write("hello")
        assert instance.run_monitoring_enabled

    client = s3_client(port)
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket="logs-of-runs")["Contents"]]
    client.close()
    assert keys == ["compute-logs/storage/a-run/compute_logs/a-step.out"]


def _out() -> object:
    from dagster._core.storage.compute_log_manager import ComputeIOType

    return ComputeIOType.STDOUT


def test_no_secret_stands_in_it() -> None:
    settings = yaml.safe_load(DAGSTER_YAML.read_text("utf-8"))

    assert settings["compute_logs"]["config"]["bucket"] == {"env": "DATASET_ASSETS_LOG_BUCKET"}
    assert not {"access_key", "secret", "aws_secret_access_key"} & set(str(settings).lower().split("'"))
