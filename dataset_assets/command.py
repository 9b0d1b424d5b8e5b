"""What the program `dataset-assets` begins with: Ctrl-C while its modules are imported ends it as at any later time."""

import sys

STOPPED = 130


def main() -> None:
    """Import the command line and run it."""
    try:
        from dataset_assets.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(STOPPED)
