"""A family of your own: ``metanas search own_family:Decays --budget 2m`` in this folder."""

import torch


class Decays:
    """Cooling curves: each task has a start and a rate of its own."""

    def sample(self, n_tasks, examples, generator):
        start, rate = torch.rand(2, n_tasks, 1, 1, generator=generator)
        time = 5 * torch.rand(n_tasks, examples, 1, generator=generator)
        noise = 0.01 * torch.randn(time.shape, generator=generator)
        return time, start * torch.exp(-rate * time) + noise
