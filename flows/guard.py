"""Ends a command and all of its processes when whoever started it has gone.

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


class Watch:
    """Ends this process's group when a pipe closes. This process itself outlives the asking, not the killing.

    Args:
        pipe: what the starter holds the other end of.
        patience: seconds between the asking and the killing.
    """

    def __init__(self, pipe: int, patience: float) -> None:
        self._over, self._ending = threading.Event(), threading.Event()
        # A handler, not SIG_IGN, which the command would inherit.
        signal.signal(signal.SIGTERM, lambda *_: None)
        self._thread = threading.Thread(target=self._watch, args=[pipe, patience], daemon=True)
        self._thread.start()

    def over(self) -> None:
        """The command has ended. If it was asked to, what it leaves behind goes too, and with it this."""
        self._over.set()
        if self._ending.is_set():
            self._thread.join()

    def _watch(self, pipe: int, patience: float) -> None:
        while os.read(pipe, 1024):
            pass
        self._ending.set()
        os.killpg(0, signal.SIGTERM)
        self._over.wait(patience)
        os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the command and return its exit status."""
    watch = Watch(sys.stdin.fileno(), float(sys.argv[1]))
    command = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL)
    status = command.wait()
    watch.over()
    return 128 - status if status < 0 else status


if __name__ == "__main__":
    sys.exit(main())
