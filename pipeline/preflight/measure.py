"""What this machine has: GPUs, memory, disk, and how fast it multiplies."""

from __future__ import annotations

import time

import torch

SHARE_OF_PRODUCTS = 0.3
"""Of the speed of a plain matrix product, what training reaches: about that of LLaVA-1.5's on a GPU."""


def cpu_tflops(seconds: float = 0.3) -> float:
    """TFLOP/s of float32 matrix products on this CPU, as it is loaded now."""
    left, right = torch.randn(256, 1024), torch.randn(1024, 1024)
    left @ right
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        left @ right
        rounds += 1
    return rounds * 2 * 256 * 1024 * 1024 / (time.perf_counter() - began) / 1e12


def gpu_bytes() -> list[int]:
    """Memory of each GPU."""
    return [
        torch.cuda.get_device_properties(index).total_memory for index in range(torch.cuda.device_count())
    ]
