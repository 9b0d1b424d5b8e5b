"""Runs a program for as long as whoever started it lives: `python program_guard.py PROGRAM ARGUMENT...`.

Run as a file of its own, by the standard library alone. Standard input brings the number of bytes to hand to the
program's, a line feed, those bytes, and then nothing until its other end is closed: by the starter, or by its death in
any manner. Then the whole process group ends, the program and all that it started with it.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from threading import Thread


def main() -> int:
    """The program's exit code; of one that a signal ended, 128 and the signal's number."""
    given = sys.stdin.buffer
    content = given.read(int(given.readline()))
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE) as program:
        Thread(target=_end_with_the_starter, daemon=True).start()
        assert program.stdin is not None
        with suppress(BrokenPipeError), program.stdin as its_input:
            its_input.write(content)
        code = program.wait()
    return code if code >= 0 else 128 - code


def _end_with_the_starter() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    code = main()
    os._exit(code)  # the thread that waits on standard input would hold a usual end up
