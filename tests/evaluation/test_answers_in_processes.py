"""Answers given by several processes, each a part: those of one process, and no row answered twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import processes_of_torchrun
import torch
from torch import multiprocessing
from transformers import LlamaConfig, LlamaForCausalLM

from pipeline.evaluation.answers import Reader
from pipeline.training import processes

# Forked from a process that has only imported: a fork of the tests' own would take its threads along.
multiprocessing.set_forkserver_preload(["pipeline.training.trainer", "pipeline.evaluation.answers"])
IMAGES = [f"i{number % 5}" for number in range(23)]
PROMPTS = ["how many ?" if number % 3 else "where is the red cup ?" for number in range(23)]


def answered(tokenizer) -> tuple[list[str], list[str]]:
    """What a small random model answers, and the images that this process read for it."""
    torch.manual_seed(3)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size)).eval()
    for matrix in model.parameters():
        if matrix.ndim > 1:
            matrix.data.normal_(0, 0.5)
    embeddings = {image: torch.randn(3, 16) for image in sorted(set(IMAGES))}
    read: list[str] = []

    def prefixes(images):
        read.extend(images)
        return torch.stack([embeddings[image] for image in images])

    reader = Reader(model.get_decoder(), model.lm_head, tokenizer, str, prefixes, lambda image: 3)
    return reader.answer(IMAGES, PROMPTS, batch=4), read


def work(tokenizer, out: Path) -> None:
    """What each of two processes does."""
    with processes.joined():
        (out / f"{processes.rank()}.json").write_text(json.dumps(answered(tokenizer)))


def test_two_processes_answer_half_each_and_both_have_what_one_answers(words, tmp_path):
    expected, read = answered(words)
    assert len(set(expected)) > 3 and len(read) == len(IMAGES)
    processes_of_torchrun.start(2, work, words, tmp_path)
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [answers for answers, _ in found] == [expected, expected]
    counts = [len(images) for _, images in found]
    assert sum(counts) == len(IMAGES) and min(counts) >= 8
    assert sorted(np.concatenate([images for _, images in found])) == sorted(IMAGES)
