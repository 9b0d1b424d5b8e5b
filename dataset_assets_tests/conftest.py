"""What many tests need."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

# The same examples each time: whether a change is good must not hang on luck. `make test-all` looks for new ones.
settings.register_profile("same_each_time", derandomize=True)
settings.load_profile("same_each_time")

# Inputs that nobody here made; they stand beside a checkout, or not at all.
REAL_DATA = Path(__file__).parent.parent.parent / "shared" / "data"


@pytest.fixture
def real_data() -> Path:
    """The folder of real inputs; the test is skipped where there is none."""
    if not REAL_DATA.is_dir():
        pytest.skip("no real inputs beside this checkout")
    return REAL_DATA
