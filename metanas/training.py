"""The one outer loop: meta-training of candidates of one shape, from where they are to a rung."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from metanas.engine import Engine
from metanas.engine.devices import clock
from metanas.engine.lanes import unwanted
from metanas.engine.optimizer import Moving, update
from metanas.engine.program import Program, at
from metanas.seeds import generator
from metanas.tasks.family import Family
from search_spaces.outer import Outer
from search_spaces.task import Episodes

_BLOCK_BYTES = 32_000_000
_BLOCK_STEPS = 32
_WARM_UP = 20  # meta-steps over which the learning rate rises
_FLOOR = 0.1  # of the learning rate, at the end of a cosine
_TOGETHER = 1000  # losses that are put into one tensor
_OF_INTERVALS = ("cluster", "classes")  # of episodes, which training has no use for
_CURVE_POINTS = 50  # a rung's losses are kept as that many means
_CHECK_EVERY = 10  # meta-steps of a GPU between two looks at the clock
# looks at the clock → times the time allowed, beyond which going on is then hopeless: the first steps
# also pay for measuring and tracing, so the first looks forgive more
_PATIENCE = {2: 4.0, 4: 1.3}


@dataclass(frozen=True)
class Checkpoint:
    """A candidate on its way: all that going on needs.

    Attributes:
        meta: ``(P,)`` meta-parameters.
        first: ``(P,)`` first moments of the optimizer.
        second: ``(P,)`` second moments.
        average: ``(P,)`` averaged meta-parameters: what is scored and exported.
        buffers: ``(B,)``.
        seed: Of everything random in it.
        step: Meta-steps behind it.
        curve: ``(meta-step, training loss)``, thinned.
    """

    meta: Tensor
    first: Tensor
    second: Tensor
    average: Tensor
    buffers: Tensor
    seed: int
    step: int = 0
    curve: tuple[tuple[int, float], ...] = ()

    @classmethod
    def start(
        cls, program: Program, seed: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> Checkpoint:
        """Before the first meta-step."""
        return cls.resume(*program.init(seed), seed, device, dtype)

    @classmethod
    def resume(
        cls,
        meta: Tensor,
        buffers: Tensor,
        seed: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> Checkpoint:
        """From stored weights; the optimizer starts anew."""
        moving = Moving.start(meta.to(device, dtype), buffers.to(device, dtype))
        return cls(*moving, seed=seed)


@dataclass(frozen=True)
class Trained:
    """What a stretch of meta-training came to.

    Attributes:
        checkpoints: One a candidate, in order.
        complete: Whether the rung was reached; else the time was up before it.
        ms: Milliseconds a meta-step, all candidates together.
        needs: Seconds that the stretch would have taken in all.
    """

    checkpoints: list[Checkpoint]
    complete: bool
    ms: float
    needs: float


@dataclass(frozen=True)
class Schedule:
    """Learning rates over a stretch of meta-training: a short rise, then as its kind says.

    Attributes:
        horizon: Meta-steps of the whole, over which learning rates fall and rules count their progress.
        to_zero: Whether they fall straight to nothing, whatever the outer settings say.
        times: Where time says when the whole ends: it is so many times the meta-steps that were done
            before the stretch, see :meth:`after`.
    """

    horizon: int
    to_zero: bool
    times: float | None = None

    def after(self, step: int) -> Schedule:
        """The schedule of a stretch that begins there."""
        if self.times is None or step == 0:
            return self
        return replace(self, horizon=max(1, int(step * self.times)), times=None)

    def __call__(self, outer: Outer, step: int) -> float:
        """The learning rate of a meta-step, from 0."""
        return outer.learning_rate * min(1.0, (step + 1) / _WARM_UP) * self._falling(outer, step)

    def progress(self, step: int) -> float:
        """The part that is done, in [0, 1]."""
        return min(1.0, step / self.horizon)

    def _falling(self, outer: Outer, step: int) -> float:
        if self.to_zero:
            return 1 - self.progress(step)
        if outer.schedule == "constant":
            return 1.0
        return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * self.progress(step)))


def scheduled(horizon: int, times: float | None = None) -> Schedule:
    """Of a trial whose last rung is ``horizon``, or so many times what is done: as its outer settings say."""
    return Schedule(horizon, to_zero=False, times=times)


def annealed(steps: int) -> Schedule:
    """Of a last stretch of so many meta-steps: down to nothing."""
    return Schedule(steps, to_zero=True)


def train(
    engine: Engine,
    family: Family,
    outers: Sequence[Outer],
    checkpoints: Sequence[Checkpoint],
    until: int,
    schedule: Schedule,
    seconds: float = math.inf,
    *,
    patient: bool = False,
) -> Trained:
    """Meta-trains candidates of one shape together.

    Args:
        engine: Of their shape.
        family: Whose training tasks they see; each its own, drawn from its own seed.
        outers: Their outer settings; equal in all but rates, schedule and weight decay.
        checkpoints: Where they are: at the same meta-step.
        until: Meta-step to stop at.
        schedule: Their learning rates.
        seconds: That it may take; stops early, once it is known that it would take longer.
        patient: Whether to use all of ``seconds`` even so, and stop only then.

    Returns:
        The candidates where they are now.
    """
    now = Moving(*(torch.stack(rows) for rows in zip(*(_moving(c) for c in checkpoints), strict=True)))
    first = step = checkpoints[0].step
    schedule = schedule.after(first)
    decays = _column([outer.weight_decay for outer in outers], now.meta)
    blocks: list[Tensor] = []  # of losses (S, C)
    losses: list[Tensor] = []
    pace = _Pace(engine.device, until - first, seconds, patient)
    drawn = _episodes(engine, family, outers[0], checkpoints, now.meta.dtype)
    while step < until and not pace.over:
        episodes, keys = next(drawn)
        progress = torch.tensor(schedule.progress(step), dtype=now.meta.dtype, device=engine.device)
        found = engine.gradients(now.meta, now.buffers, episodes, keys, progress, pace.left)
        gradients, loss, observed = found
        rates = _column([schedule(outer, step) for outer in outers], now.meta)
        now = update(now, gradients, observed, rates, decays, step)
        losses.append(loss)
        if len(losses) == _TOGETHER:  # of millions each by itself would take a hundred times its room
            blocks.append(torch.stack(losses))
            losses.clear()
        step += 1
        pace.step()
    blocks += [torch.stack(losses)] if losses else []
    return Trained(_unstack(now, checkpoints, step, blocks), step >= until, pace.ms, pace.needs)


class _Pace:
    """How fast a stretch goes, and whether its time is up."""

    def __init__(self, device: torch.device, steps: int, seconds: float, patient: bool) -> None:
        self._device, self._steps, self._seconds, self._patient = device, steps, seconds, patient
        # on a GPU each look at the clock waits for it
        self._every = 1 if device.type == "cpu" else _CHECK_EVERY
        self._begin = self._last = clock(device)
        self._each: list[float] = []  # seconds a meta-step, between two looks
        self._fastest = 0.0  # of them; asked for at every meta-step, of which there may be millions
        self._done = 0
        self.over = False

    @property
    def ms(self) -> float:
        """Milliseconds a meta-step, of the later half: the earlier one pays for tracing and measuring."""
        late = self._each[len(self._each) // 2 :]
        return 1e3 * sum(late) / len(late) if late else 0.0

    @property
    def left(self) -> int:
        """Meta-steps to come: all, or as many as there is time for at the fastest pace so far."""
        steps = self._steps - self._done
        if not self._patient or self._fastest == 0.0 or math.isinf(self._seconds):
            return steps
        return max(1, min(steps, int((self._seconds - (self._last - self._begin)) / self._fastest)))

    @property
    def needs(self) -> float:
        """Seconds that all steps take, if those to come are as fast as the fastest so far."""
        return self._last - self._begin + self._fastest * (self._steps - self._done)

    def step(self) -> None:
        """Counts a meta-step, and looks at the clock every now and then."""
        self._done += 1
        if self._done % self._every and self._done < self._steps:
            return
        now = clock(self._device)
        since = self._done - self._every * len(self._each)
        self._each.append((now - self._last) / max(1, since))
        self._fastest = min(self._fastest, self._each[-1]) if len(self._each) > 1 else self._each[0]
        self._last = now
        forgiven = next(
            (times for looks, times in reversed(_PATIENCE.items()) if len(self._each) >= looks), None
        )
        hopeless = forgiven is not None and not self._patient and self.needs > forgiven * self._seconds
        self.over = hopeless or now - self._begin > self._seconds or unwanted()


def _episodes(
    engine: Engine, family: Family, outer: Outer, checkpoints: Sequence[Checkpoint], dtype: torch.dtype
) -> Iterator[tuple[Episodes, Tensor]]:
    """Episodes ``(C, tasks, …)`` and keys ``(C, tasks)`` of every meta-step from where they are.

    They are drawn in blocks of several meta-steps, each from a seed of its own: any meta-step can
    be come back to, and a candidate's tasks do not depend on what it is batched with.
    """
    size, step = _block_size(engine, outer), checkpoints[0].step
    while True:
        block, start = divmod(step, size)
        drawn = [_block(engine, family, outer, c.seed, block, size, dtype) for c in checkpoints]
        for i in range(start, size):
            rows = slice(i * outer.tasks, (i + 1) * outer.tasks)
            yield (
                _stack([at(episodes, rows) for episodes, _ in drawn]),
                torch.stack([keys[rows] for _, keys in drawn]),
            )
        step = (block + 1) * size


def _block(
    engine: Engine, family: Family, outer: Outer, seed: int, block: int, size: int, dtype: torch.dtype
) -> tuple[Episodes, Tensor]:
    random = generator(engine.device, seed, "train", block)
    drawn = family.sample(
        outer.tasks * size,
        "train",
        random,
        shots=outer.shots,
        ways=outer.ways,
        queries=outer.queries,
        augmentation=outer.augmentation,
    )
    for name in _OF_INTERVALS:  # only some of a mix may say them
        drawn.pop(name, None)  # type: ignore[misc]
    keys = torch.randint(2**62, (outer.tasks * size,), generator=random, device=engine.device)
    return as_dtype(drawn, dtype), keys


def next_tasks(
    engine: Engine, family: Family, outer: Outer, checkpoint: Checkpoint
) -> tuple[Episodes, Tensor]:
    """The tasks ``(tasks, …)`` and keys ``(tasks,)`` that a candidate's next meta-step is of."""
    episodes, keys = next(_episodes(engine, family, outer, [checkpoint], checkpoint.meta.dtype))
    return at(episodes, 0), keys[0]


def as_dtype(episodes: Episodes, dtype: torch.dtype) -> Episodes:
    """Examples and targets in that precision; masks as they are."""
    cast = {k: v.to(dtype) if v.is_floating_point() else v for k, v in episodes.items()}  # type: ignore[attr-defined]
    return cast  # type: ignore[return-value]


def _block_size(engine: Engine, outer: Outer) -> int:
    signature = engine.program.rule.signature
    shots = outer.shots if isinstance(outer.shots, int) else outer.shots[1]
    examples = outer.tasks * outer.ways * (shots + outer.queries)
    return max(1, min(_BLOCK_STEPS, _BLOCK_BYTES // (4 * examples * math.prod(signature.input_shape))))


def _stack(episodes: list[Episodes]) -> Episodes:
    return {name: torch.stack([e[name] for e in episodes]) for name in episodes[0]}  # type: ignore[return-value, literal-required]


def _moving(checkpoint: Checkpoint) -> Moving:
    c = checkpoint
    return Moving(c.meta, c.first, c.second, c.average, c.buffers)


def _column(values: list[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype).to(like.device)[:, None]


def _unstack(now: Moving, before: Sequence[Checkpoint], step: int, blocks: list[Tensor]) -> list[Checkpoint]:
    every = torch.cat(blocks).T.tolist() if blocks else [[] for _ in before]
    return [
        replace(
            old,
            **{name: tensor[i] for name, tensor in now._asdict().items()},
            step=step,
            curve=old.curve + _thinned(old.step, every[i]),
        )
        for i, old in enumerate(before)
    ]


def _thinned(start: int, losses: list[float]) -> tuple[tuple[int, float], ...]:
    width = max(1, math.ceil(len(losses) / _CURVE_POINTS))
    groups = [losses[i : i + width] for i in range(0, len(losses), width)]
    return tuple((start + min((i + 1) * width, len(losses)), sum(g) / len(g)) for i, g in enumerate(groups))
