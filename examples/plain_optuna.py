"""Our space and controller in a plain Optuna study: python examples/plain_optuna.py"""

import optuna
import torch

from controllers import evolution
from search_spaces import Signature, catalogue

SIGNATURE = Signature("regression", (1,), 1, shots=5)  # five labelled examples, a number to a number
SPACE = catalogue.space("closed-form", SIGNATURE)  # or "default", or a .toml file
KEY = torch.zeros((), dtype=torch.int64)  # the seed of what is random in a rule


def wave(generator):
    """A task: five examples of a sine wave to learn from, twenty to be scored on."""
    amplitude, phase = torch.rand(2, generator=generator)
    x = 10 * torch.rand(25, 1, generator=generator) - 5
    y = 5 * amplitude * torch.sin(x - 3.14 * phase)
    return {"support_x": x[:5], "support_y": y[:5], "query_x": x[5:], "query_y": y[5:]}


def objective(trial, steps=50):
    """Mean squared error on fifty new tasks after a little meta-training."""
    candidate = SPACE.suggest(trial)  # a mapping: architecture, rule and all their settings
    rule = catalogue.build(candidate, SIGNATURE)  # pure functions of tensors, for one task
    generator = torch.Generator().manual_seed(0)
    meta, buffers = rule.init(generator)
    for tensor in meta.values():
        tensor.requires_grad_()
    optimizer = torch.optim.Adam(meta.values(), candidate["outer.learning_rate"])
    for step in range(steps):
        loss, seen = rule.outer_loss(meta, buffers, wave(generator), KEY, torch.tensor(step / steps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffers |= {name: 0.9 * buffers[name] + 0.1 * value for name, value in seen.items()}  # running norms
    errors = []
    for task in (wave(generator) for _ in range(50)):
        adapted = rule.adapt(meta, buffers, task["support_x"], task["support_y"], None, KEY)
        prediction = rule.predict(meta, buffers, adapted, task["query_x"]).detach()
        errors.append(float(((prediction - task["query_y"]) ** 2).mean()))
    return sum(errors) / 50


if __name__ == "__main__":
    study = optuna.create_study(sampler=evolution.build(SPACE, seed=0), direction="minimize")
    study.optimize(objective, n_trials=20)
    print(f"best of 20: {study.best_value:.3f} with {study.best_params}")
