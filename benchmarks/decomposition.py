"""Matching pursuit of all tokens at once against one token at a time, on random vectors, in the same run.

    python benchmarks/decomposition.py                                       # seconds on two cores
    python benchmarks/decomposition.py --tokens 10000 --words 32000 --width 4096   # the paper's size
    python benchmarks/decomposition.py ... --device cuda

Prints tokens a second of both, how often they pick the same words, and the process's peak memory.
"""

from __future__ import annotations

import argparse
import resource
import time

import torch
from torch import Tensor

from pipeline.evaluation.decomposition import matching_pursuit


def one_at_a_time(tokens_TD: Tensor, words_VD: Tensor, k: int) -> Tensor:
    """Orthogonal matching pursuit with a loop over tokens: the words picked, T x K."""
    unit_VD = torch.nn.functional.normalize(words_VD, dim=1)
    rows = []
    for token_D in torch.nn.functional.normalize(tokens_TD, dim=1):
        residual_D, picked = token_D, torch.empty(0, dtype=torch.int64, device=tokens_TD.device)
        for _ in range(k):
            similarity_V = (unit_VD @ residual_D).abs()
            similarity_V[picked] = -torch.inf
            picked = torch.cat([picked, similarity_V.argmax()[None]])
            basis_DK, _ = torch.linalg.qr(unit_VD[picked].T)
            residual_D = token_D - basis_DK @ (basis_DK.T @ token_D)
        rows.append(picked)
    return torch.stack(rows)


def main() -> None:
    """Time both and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--k", type=int, default=3)
    parser.add_argument("--loop-tokens", type=int, default=200, help="tokens that the loop is timed on")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    rng = torch.Generator().manual_seed(0)
    tokens = torch.randn(args.tokens, args.width, generator=rng).to(args.device)
    words = torch.randn(args.words, args.width, generator=rng).to(args.device)
    some = tokens[: args.loop_tokens]
    matching_pursuit(some[:1], words, args.k)  # warm up

    start = time.perf_counter()
    found = torch.from_numpy(matching_pursuit(tokens, words, args.k).words_TK)
    together = len(tokens) / (time.perf_counter() - start)
    start = time.perf_counter()
    slow = one_at_a_time(some, words, args.k).cpu()
    apart = len(some) / (time.perf_counter() - start)

    same = float((found[: len(some)] == slow).all(1).float().mean())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{args.tokens} tokens, {args.words} words, width {args.width}, K = {args.k}, {args.device}")
    print(f"together       {together:10.0f} tokens/s  ({args.tokens / together:.1f} s)")
    print(f"one at a time  {apart:10.0f} tokens/s  ({len(some)} tokens timed)")
    print(f"speed-up       {together / apart:10.1f} x")
    print(f"same words     {same:10.1%}")
    print(f"peak memory    {peak:10.2f} GB")


if __name__ == "__main__":
    main()
