"""What many tests need."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from dataset_assets_tests.s3_server import CREDENTIALS

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
# As many tests run at once as there are processors; threads of their own would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Worker processes know the environment of the first test that started them: they need what tests of buckets sign with.
os.environ.update(CREDENTIALS)

# The same examples each time: whether a change is good must not hang on luck. `make test-all` looks for new ones.
# A time limit for one example would fail tests of a busy machine.
settings.register_profile("same_each_time", derandomize=True, deadline=None)
settings.register_profile("new_each_time", deadline=None)
settings.load_profile("same_each_time")

# Inputs that nobody here made; they stand beside a checkout, or not at all.
REAL_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real inputs; the test is skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real inputs beside this checkout")
    return REAL_DATA
