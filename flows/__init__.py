"""Prefect flows: what runs when, on what, with which retries. No science in here.

Importing this package points Prefect at the project: its state lies in ``.prefect`` beside this folder, it
sends nothing anywhere, and it uses the project's own server where that answers (see `flows.server`), else
the temporary one that Prefect starts for a single run. Environment variables that are set already win.
"""

import os
from pathlib import Path

import pipeline  # noqa: F401  (sets the garbage collector for what is imported from here on)
from flows import environment

PROJECT = Path(__file__).resolve().parents[1]

for _name, _value in environment.variables(PROJECT).items():
    os.environ.setdefault(_name, _value)
