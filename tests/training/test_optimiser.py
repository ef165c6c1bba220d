"""`MuonAdamW`: which parameter goes where, and what each part does; the schedule of learning rates."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from pipeline.training.optimiser import ADAM_BETAS, BatchedMuon, MuonAdamW, build, one_cycle


class Small(nn.Module):
    """One of each kind of parameter."""

    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(7, 6)
        self.conv = nn.Conv1d(6, 6, 3, groups=6, bias=False, padding=1)
        self.norm = nn.LayerNorm(6)
        self.inner = nn.Linear(6, 5)
        self.second = nn.Linear(5, 6, bias=False)
        self.lm_head = nn.Linear(6, 7, bias=False)

    def forward(self, ids):
        hidden = self.norm(self.conv(self.embed_tokens(ids).transpose(1, 2)).transpose(1, 2))
        return self.lm_head(self.second(torch.tanh(self.inner(hidden))))


def small(seed=0):
    torch.manual_seed(seed)
    return Small()


def backward(model, step):
    generator = torch.Generator().manual_seed(step)
    ids = torch.randint(0, 7, (4, 5), generator=generator)
    model.zero_grad()
    nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten()).backward()


def weights(model):
    return [value.detach().clone() for value in model.parameters()]


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def muon_names(model, optimiser):
    muon = {id(p) for p in optimiser.param_groups[0]["params"]}
    return {name for name, value in model.named_parameters() if id(value) in muon}


def test_matrices_inside_go_to_muon_and_the_rest_to_adamw():
    model = small()
    optimiser = MuonAdamW(model, 0.01, 0.1)
    assert muon_names(model, optimiser) == {"inner.weight", "second.weight"}
    everything = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(everything) == sorted(id(p) for p in model.parameters())


def test_of_a_whole_model_neither_words_nor_places_nor_head_go_to_muon(small_llava):
    model, _ = small_llava
    model.requires_grad_(True)
    names = muon_names(model, MuonAdamW(model, 0.01, 0.0))
    assert "model.multi_modal_projector.linear_1.weight" in names
    assert any("self_attn" in name for name in names)
    assert not any("embed" in name or "lm_head" in name or "norm" in name for name in names)


def test_what_is_frozen_is_in_no_group():
    model = small()
    model.requires_grad_(False)
    model.inner.requires_grad_(True)
    optimiser = MuonAdamW(model, 0.01, 0.0)
    assert [[p.shape for p in group["params"]] for group in optimiser.param_groups] == [[(5, 6)], [(5,)]]


@pytest.mark.parametrize("part", ["muon", "adamw"])
def test_a_model_of_one_kind_needs_one_part(part):
    model = small()
    model.requires_grad_(False)
    (model.second if part == "muon" else model.norm).requires_grad_(True)
    optimiser = MuonAdamW(model, 0.01, 0.0)
    backward(model, 0)
    before = weights(model)
    optimiser.step()
    assert len(optimiser.param_groups) == 1
    assert not same(before, weights(model))


def test_steps_are_those_of_torch_s_own_optimisers():
    ours, theirs = small(), small()
    optimiser = MuonAdamW(ours, 0.02, 0.1)
    matrices = [theirs.inner.weight, theirs.second.weight]
    others = [p for p in theirs.parameters() if not any(p is matrix for matrix in matrices)]
    pair = [
        Muon(matrices, 0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        AdamW(others, 0.02, betas=ADAM_BETAS, weight_decay=0.1),
    ]
    for step in range(4):
        backward(ours, step)
        backward(theirs, step)
        optimiser.step()
        for part in pair:
            part.step()
    for mine, other in zip(weights(ours), weights(theirs), strict=True):
        # Both run Muon's iterations in bfloat16, ours a batch of matrices at a time.
        torch.testing.assert_close(mine, other, rtol=0, atol=4 * 0.02 * 0.02)


@pytest.mark.parametrize("shape", [(24, 40), (40, 24), (24, 24)])
def test_matrices_of_one_shape_are_orthogonalised_together_as_torch_does_one_by_one(shape):
    torch.manual_seed(1)
    stack = nn.ModuleDict({f"m{k}": nn.Linear(*shape, bias=False) for k in range(5)})
    other = copy.deepcopy(stack)
    pair = (
        BatchedMuon(stack.parameters(), 1.0, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        Muon(other.parameters(), 1.0, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for model, optimiser in zip((stack, other), pair, strict=True):
        torch.manual_seed(2)
        for value in model.parameters():
            value.grad = torch.randn_like(value)
        optimiser.step()
    for mine, theirs in zip(stack.parameters(), other.parameters(), strict=True):
        assert (mine - theirs).norm() < 0.01 * theirs.norm()


def test_a_scheduler_moves_both_parts():
    model = small()
    optimiser = MuonAdamW(model, 0.1, 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.5**step)
    for step in range(3):
        backward(model, step)
        optimiser.step()
        schedule.step()
    assert [group["lr"] for group in optimiser.param_groups] == [0.0125, 0.0125]
    assert [part.param_groups[0]["lr"] for part in optimiser._parts] == [0.0125, 0.0125]
    before = weights(model)
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    backward(model, 9)
    optimiser.step()
    assert same(before, weights(model))


def run(model, optimiser, schedule, steps):
    for step in steps:
        backward(model, step)
        optimiser.step()
        schedule.step()


def with_schedule(model):
    optimiser = MuonAdamW(model, 0.1, 0.01)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 0.9**step)


def test_a_restored_state_goes_on_as_if_nothing_had_been(tmp_path):
    straight = small()
    run(straight, *with_schedule(straight), range(6))

    halfway = small()
    optimiser, schedule = with_schedule(halfway)
    run(halfway, optimiser, schedule, range(3))
    torch.save([optimiser.state_dict(), schedule.state_dict()], tmp_path / "state.pt")

    resumed = small(seed=9)
    resumed.load_state_dict(copy.deepcopy(halfway.state_dict()))
    optimiser, schedule = with_schedule(resumed)
    saved = torch.load(tmp_path / "state.pt", weights_only=True)
    optimiser.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    run(resumed, optimiser, schedule, range(3, 6))
    assert same(weights(resumed), weights(straight))


def test_after_restoring_the_groups_are_still_those_of_the_parts():
    model = small()
    optimiser = MuonAdamW(model, 0.1, 0.0)
    optimiser.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    parts = [group for part in optimiser._parts for group in part.param_groups]
    assert all(ours is theirs for ours, theirs in zip(optimiser.param_groups, parts, strict=True))
    assert len(parts) == len(optimiser.param_groups) == 2


def test_a_step_moves_both_kinds_by_a_like_amount():
    """Muon's step is scaled to AdamW's usual size: one learning rate serves both (arXiv 2502.16982)."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"inner": nn.Linear(64, 64, bias=False), "lm_head": nn.Linear(64, 64, bias=False)})
    optimiser = MuonAdamW(model, 0.01, 0.0)
    before = [value.clone() for value in weights(model)]
    for value in model.parameters():
        value.grad = torch.randn_like(value)
    optimiser.step()
    moved = [(a - b).square().mean().sqrt().item() for a, b in zip(weights(model), before, strict=True)]
    assert moved[1] == pytest.approx(0.01, rel=0.05)  # AdamW's first step is the learning rate
    assert 0.1 < moved[0] / moved[1] < 1


def test_adamw_alone_is_torch_s_with_the_betas_of_trainer_and_decays_matrices_only():
    ours, theirs = Small(), Small()
    theirs.load_state_dict(ours.state_dict())
    optimiser = build("adamw", ours, 0.02, weight_decay=0.5)
    matrices = [p for p in theirs.parameters() if p.ndim > 1]
    vectors = [p for p in theirs.parameters() if p.ndim < 2]
    reference = AdamW(
        [{"params": matrices, "weight_decay": 0.5}, {"params": vectors, "weight_decay": 0.0}],
        lr=0.02, betas=(0.9, 0.999), eps=1e-8,
    )  # fmt: skip
    for model in (ours, theirs):
        torch.manual_seed(3)
        for p in model.parameters():
            p.grad = torch.randn_like(p)
    optimiser.step()
    reference.step()
    assert vectors and all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_an_optimiser_is_known_by_name():
    assert isinstance(build("muon", Small(), 0.02, 0.0), MuonAdamW)
    with pytest.raises(ValueError, match="no optimiser 'sgd'"):
        build("sgd", Small(), 0.02, 0.0)


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 20, 400])
def test_a_cycle_of_any_length_rises_to_its_highest_and_falls(steps):
    weight = torch.nn.Parameter(torch.zeros(1))
    made = torch.optim.SGD([weight], lr=1.0)
    schedule = one_cycle(made, 0.5, steps, warmup=0.05)
    rates = []
    for _ in range(steps):
        rates.append(made.param_groups[0]["lr"])
        made.step()
        schedule.step()
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert steps < 2 or max(rates) == pytest.approx(0.5)


def test_a_long_cycle_is_torch_s_own():
    ours, theirs = (torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0) for _ in range(2))
    both = (
        one_cycle(ours, 0.5, 400, warmup=0.05),
        torch.optim.lr_scheduler.OneCycleLR(
            theirs, 0.5, total_steps=400, pct_start=0.05, cycle_momentum=False
        ),
    )
    for _ in range(399):
        assert ours.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
        for optimiser, schedule in zip((ours, theirs), both, strict=True):
            optimiser.step()
            schedule.step()
