"""Runs a command and ends all of its processes when whoever started it has gone.

    python flows/guard.py PATIENCE COMMAND ...

To be started in a session of its own, with a pipe as its input. When the pipe closes, because the starter
wants the command to stop or was itself killed (with -9 too), every process of the group is asked to end, and
killed ``PATIENCE`` seconds later if need be. It imports nothing of the project, so that it is up at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main() -> int:
    """Run the command and return its exit status."""
    # A handler, not SIG_IGN, which the command would inherit: the group's SIGTERM is not meant for the guard.
    signal.signal(signal.SIGTERM, lambda *_: None)
    command = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_when_alone, args=[command], daemon=True).start()
    status = command.wait()
    return 128 - status if status < 0 else status


def _end_when_alone(command: subprocess.Popen[bytes]) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.killpg(0, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        command.wait(float(sys.argv[1]))
    # What the command leaves behind goes too, and with it the guard.
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
