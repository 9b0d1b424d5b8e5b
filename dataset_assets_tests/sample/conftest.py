from pathlib import Path

import pytest

from dataset_assets.sample import draw_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as it comes, drawn once for all tests here; not to be changed."""
    folder = tmp_path_factory.mktemp("sample")
    draw_sample(folder)
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """True records of the sources, where the checkout has them."""
    folder = Path(__file__).parents[2] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no true records beside this checkout")
    return folder
