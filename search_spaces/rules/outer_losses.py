"""What meta-training minimises of a gradient rule, besides the query loss after its last step."""

from __future__ import annotations

import torch
from torch import Tensor

from search_spaces.rules.transforms import Named
from search_spaces.task import Task

LOSSES = ("last", "every", "distance")
_EVERY_PART = 1 / 10  # of meta-training, in which the last step takes over from the others: 15 of 150 epochs
_LEAST = 0.03  # of an equal share, that the others keep


def step_weights(progress: Tensor, steps: int) -> Tensor:
    """What the query loss after each of the steps counts, ``(steps,)`` of sum 1.

    Equal at first; the last one's grows until the others keep 3 % of an equal share.

    References:
        Antoniou, Edwards, Storkey, *MAML++*, 2019, https://arxiv.org/abs/1810.09502, section 4.
    """
    others = ((1 - progress / _EVERY_PART).clamp(min=_LEAST) / steps).expand(steps - 1)
    return torch.cat([others, (1 - others.sum())[None]])


def distance(start: Named, end: Named) -> Tensor:
    """Half the squared distance ``()``, whose slope at the start is Reptile's ``θ − φ``.

    References:
        Nichol, Achiam, Schulman, *On first-order meta-learning algorithms*, 2018,
        https://arxiv.org/abs/1803.02999
    """
    return 0.5 * torch.stack([((p - end[name].detach()) ** 2).sum() for name, p in start.items()]).sum()


def together(task: Task) -> tuple[Tensor, Tensor, Tensor | None]:
    """All examples of a task ``(S + Q, *x)``, their targets and mask; Reptile does not divide them."""
    x = torch.cat([task["support_x"], task["query_x"]])
    y = torch.cat([task["support_y"], task["query_y"]])
    if "support_mask" not in task and "query_mask" not in task:
        return x, y, None
    counts = (len(task["support_x"]), len(task["query_x"]))
    full = (torch.ones(count, dtype=torch.bool, device=x.device) for count in counts)
    given = (task.get("support_mask"), task.get("query_mask"))
    return (
        x,
        y,
        torch.cat([mask if mask is not None else all_ for mask, all_ in zip(given, full, strict=True)]),
    )
