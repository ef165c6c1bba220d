"""Import what a GPU machine runs, with the data stack out of reach; print the packages that this took.

Run as a program: ``python gpu_machine.py spacy prefect ...`` with the packages that must not be imported.
"""

import importlib
import pkgutil
import sys

ROOMS = ("pipeline.training", "pipeline.models", "pipeline.evaluation")
OUTSIDE = "pipeline.evaluation.outside"  # lmms-eval's, in an environment of its own


class Absent:
    """A finder that says of some packages that they are not installed."""

    def __init__(self, names: list[str]) -> None:
        self._names = set(names)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    sys.meta_path.insert(0, Absent(sys.argv[1:]))
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if not module.name.startswith(OUTSIDE) and not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    print(" ".join(sorted({name.partition(".")[0] for name in sys.modules})))


if __name__ == "__main__":
    main()
