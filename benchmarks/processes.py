"""A contender in a process of its own: what it found, and what that cost."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory


@dataclass(frozen=True)
class Cost:
    """Seconds, and the largest of the processes' resident sets in MB."""

    cpu: float
    wall: float
    memory: float

    @classmethod
    def of(cls, costs: "list[Cost]") -> "Cost":
        """Of several runs: the median time, and the most memory."""
        return cls(
            median(one.cpu for one in costs), median(one.wall for one in costs), max(one.memory for one in costs)
        )


def run(contender: str, data: Path, scratch: Path, keep: Path | None = None) -> tuple[dict[str, int], Cost]:
    """Run a contender on DATA, in a folder below `scratch` that is removed then. `keep` is where its snapshot is moved.

    CPU is user and system time of the process and of all processes that it waited for, from its start to its end.
    Raises: RuntimeError when it fails.
    """
    with TemporaryDirectory(dir=scratch) as folder:
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.contenders", contender, str(data), folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        wall = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"{contender} on {data} ended with {process.returncode}; its own words are above")
        if keep is not None:
            (Path(folder) / "snapshot.parquet").replace(keep)
    found: dict[str, int] = json.loads(said.splitlines()[-1])
    return found, Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)
