import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from dataset_assets.storage.locks import PartitionLocked, partition_lock

HOLD = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from dataset_assets.storage.locks import partition_lock
    with partition_lock(Path(sys.argv[1])):
        print("held", flush=True)
        time.sleep(60)
    """
)


def test_a_lock_held_by_another_process_is_refused_at_once_and_ends_with_that_process(tmp_path: Path) -> None:
    file = tmp_path / "locks/danbooru/lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(PartitionLocked, match="wait for it, or stop it first"), partition_lock(file):
            pass
        holder.kill()
    with partition_lock(file):
        pass
