"""The language model's layers through ``torch.compile`` (``compute.compile``)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from torch import nn

from pipeline.errors import UserError


def compile_layers(layers: Iterable[nn.Module]) -> None:
    """Have layers compiled, in place, when they are first called: once, for batches and turns of any size.

    Layers with a convolution (LFM2's) stay as they are. What is compiled of one is for one length, and each
    other length would be compiled anew, which takes far longer than to compute it.

    Raises:
        UserError: there is no compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++") if name):
        raise UserError(
            "compute.compile: true needs a C++ compiler, and none of $CXX, g++ and clang++ was found: "
            "install one (`apt-get install g++`), or set compute.compile: false"
        )
    for layer in layers:
        if not any(isinstance(part, nn.Conv1d) for part in layer.modules()):
            layer.compile(dynamic=True)
