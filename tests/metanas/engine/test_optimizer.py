"""The optimizer against torch's own, and what it does with what is not finite."""

from __future__ import annotations

import torch
from torch import Tensor

from metanas.engine.optimizer import Moving, update

RATES, DECAYS = torch.tensor([[1e-2], [3e-3]]).double(), torch.tensor([[0.0], [0.1]]).double()


def start(generator: torch.Generator, size: int = 6) -> Moving:
    meta = torch.randn(2, size, generator=generator, dtype=torch.float64)
    return Moving.start(meta, torch.zeros(2, 1, dtype=torch.float64))


def random_gradients(generator: torch.Generator, scale: float, steps: int = 5) -> list[Tensor]:
    return [scale * torch.randn(2, 6, generator=generator, dtype=torch.float64) for _ in range(steps)]


def torchs(meta: Tensor, gradients: list[Tensor], clip: float | None = None) -> Tensor:
    """Each candidate's with an optimizer of its own."""
    rows = []
    for c in range(len(meta)):
        row = meta[c].clone().requires_grad_()
        optimizer = torch.optim.AdamW([row], lr=RATES[c].item(), weight_decay=DECAYS[c].item())
        for gradient in gradients:
            row.grad = gradient[c].clone()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_([row], clip)
            optimizer.step()
        rows.append(row.detach())
    return torch.stack(rows)


def test_it_is_adamw(generator: torch.Generator) -> None:
    now = start(generator)
    gradients = random_gradients(generator, 0.5)
    wanted = torchs(now.meta, gradients)
    for step, gradient in enumerate(gradients):
        now = update(now, gradient, now.buffers, RATES, DECAYS, step)
    torch.testing.assert_close(now.meta, wanted, atol=1e-9, rtol=0)


def test_large_gradients_are_shortened_to_ten_each_candidates_own(generator: torch.Generator) -> None:
    now = start(generator)
    gradients = random_gradients(generator, 100.0)
    for gradient in gradients:
        gradient[1] *= 1e-3  # the second candidate's are small: they stay as they are
    wanted = torchs(now.meta, gradients, clip=10.0)
    for step, gradient in enumerate(gradients):
        now = update(now, gradient, now.buffers, RATES, DECAYS, step)
    torch.testing.assert_close(now.meta, wanted, atol=1e-6, rtol=0)


def test_a_bad_gradient_counts_as_zero_for_its_candidate_alone(generator: torch.Generator) -> None:
    now = good = start(generator)
    for step, gradient in enumerate(random_gradients(generator, 0.5)):
        bad = gradient.clone()
        if step in (0, 3):
            bad[0, 2] = torch.nan if step else torch.inf
            gradient = torch.stack([torch.zeros(6, dtype=torch.float64), gradient[1]])
        now = update(now, bad, now.buffers, RATES, DECAYS, step)
        good = update(good, gradient, good.buffers, RATES, DECAYS, step)
        assert all(part.isfinite().all() for part in now)
    assert all(torch.equal(a, b) for a, b in zip(now, good, strict=True))


def test_no_gradient_at_all_leaves_it_where_it_is() -> None:
    now = Moving.start(torch.ones(1, 3), torch.zeros(1, 0))
    after = update(now, torch.zeros(1, 3), now.buffers, torch.tensor([[0.1]]), torch.zeros(1, 1), 0)
    assert torch.equal(after.meta, now.meta)


def test_the_average_follows_and_forgets_the_start() -> None:
    """Of weights that jump from 0 to 1 at once, the average is 1 but for little after some hundred steps."""
    now = Moving.start(torch.zeros(1, 1), torch.zeros(1, 0))
    nothing, rates = torch.zeros(1, 1), torch.ones(1, 1)
    seen = []
    for step in range(400):
        now = update(now._replace(meta=torch.ones(1, 1)), nothing, now.buffers, rates, nothing, step)
        seen.append(now.average.item())
    assert seen == sorted(seen)
    assert 0.8 < seen[0] < 1, "the first steps are forgotten fast"
    assert abs(seen[-1] - 1) < 1e-3


def test_running_statistics_move_a_tenth_and_ignore_what_is_not_finite() -> None:
    now = Moving.start(torch.zeros(1, 1), torch.tensor([[1.0, 1.0, 1.0]]))
    observed = torch.tensor([[2.0, torch.nan, torch.inf]])
    nothing = torch.zeros(1, 1)
    after = update(now, nothing, observed, nothing, nothing, 0)
    torch.testing.assert_close(after.buffers, torch.tensor([[1.1, 1.0, 1.0]]))
