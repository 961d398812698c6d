"""Named methods as points of the space of gradient rules: a few settings each, with the paper.

A search can begin at them (``metanas search … --start maml,meta-sgd``) and leave them in any direction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.candidate import Value
from search_spaces.errors import SpaceError, UnknownNameError
from search_spaces.signature import Signature

# MAML's sinusoid and its Omniglot, 5-way 1-shot; what a recipe does not say is as here
USUAL: Mapping[str, Value] = {
    "steps": 1,
    "order": "second",
    "loss": "last",
    "scope": "all",
    "limit": "none",
    "metric": "none",
    "direction": "gradient",
    "step_size": "fixed",
    "pull": "none",
}
_RATES = {"regression": 0.01, "classification": 0.4}


@dataclass(frozen=True)
class Recipe:
    """A published method.

    Attributes:
        title: As its paper calls it.
        words: What is particular to it.
        citation: Authors, title, year, address.
        settings: Choices of the rule ``chain`` that are not MAML's.
        rates: Initial step size by kind of task, where it is not MAML's.
        differs: From the paper, if it does.
        kinds: Of tasks that it suits.
    """

    title: str
    words: str
    citation: str
    settings: Mapping[str, Value] = field(default_factory=dict)
    rates: Mapping[str, float] = field(default_factory=lambda: _RATES)
    differs: str = ""
    kinds: tuple[str, ...] = ("regression", "classification")

    def choices(self, signature: Signature) -> dict[str, Value]:
        """Choices of the rule ``chain``.

        Raises:
            SpaceError: If the method does not suit the tasks.
        """
        if signature.kind not in self.kinds:
            raise SpaceError(f"{self.title} is for {self.kinds[0]}, these tasks are {signature.kind}")
        head = {"head": "rows"} if signature.kind == "classification" else {}
        found = {**USUAL, "rate": self.rates[signature.kind], **head, **self.settings}
        # what the space does not ask for: an LSTM of cells has step sizes of its own, a code has no layers
        if found["direction"] == "meta_lstm":
            del found["rate"], found["step_size"]
        if found["scope"] == "context":
            del found["metric"]
        if found["loss"] == "distance":
            found = {key: found[key] for key in ("steps", "loss", "rate", *head)}
        return found


RECIPES: dict[str, Recipe] = {
    "maml": Recipe(
        "MAML",
        "a learned start, from which plain gradient steps learn a task",
        "Finn, Abbeel, Levine, Model-agnostic meta-learning, 2017, https://arxiv.org/abs/1703.03400",
    ),
    "first-order-maml": Recipe(
        "First-order MAML",
        "MAML whose outer gradient leaves out second derivatives",
        "Finn, Abbeel, Levine, Model-agnostic meta-learning, 2017, https://arxiv.org/abs/1703.03400",
        {"order": "first"},
    ),
    "reptile": Recipe(
        "Reptile",
        "the start moves toward where a few steps on all of a task's examples lead",
        "Nichol, Achiam, Schulman, On first-order meta-learning algorithms, 2018, "
        "https://arxiv.org/abs/1803.02999",
        {"loss": "distance", "steps": 5},
        {"regression": 0.02, "classification": 0.1},
        "each inner step sees all examples, not a mini-batch; plain gradient steps",
    ),
    "maml++": Recipe(
        "MAML++",
        "a loss after every step, step sizes a layer and step, second derivatives after a third of training",
        "Antoniou, Edwards, Storkey, How to train your MAML, 2019, https://arxiv.org/abs/1810.09502",
        {"steps": 5, "order": "annealed", "loss": "every", "step_size": "layer_step"},
        {"regression": 0.01, "classification": 0.1},
        "norms are the network's, not one a step; step sizes stay positive",
    ),
    "meta-sgd": Recipe(
        "Meta-SGD",
        "a learned step size for every parameter, which may be negative",
        "Li, Zhou, Chen, Li, Meta-SGD, 2017, https://arxiv.org/abs/1707.09835",
        {"step_size": "parameter"},
        {"regression": 0.01, "classification": 0.05},
        "step sizes begin equal, not drawn from U[0.005, 0.1]",
    ),
    "anil": Recipe(
        "ANIL",
        "MAML whose inner loop changes the head alone",
        "Raghu, Raghu, Bengio, Vinyals, Rapid learning or feature reuse?, 2020, https://arxiv.org/abs/1909.09157",
        {"scope": "head"},
    ),
    "boil": Recipe(
        "BOIL",
        "MAML whose inner loop changes all but the head",
        "Oh, Yoo, Kim, Yun, BOIL, 2021, https://arxiv.org/abs/2008.08882",
        {"scope": "body"},
    ),
    "cavia": Recipe(
        "CAVIA",
        "the inner loop changes a short code of the task that is added to the first layer",
        "Zintgraf, Shiarlis, Kurin, Hofmann, Whiteson, Fast context adaptation via meta-learning, 2019, "
        "https://arxiv.org/abs/1810.03642",
        {"scope": "context"},
        {"regression": 1.0, "classification": 1.0},
        "for images too the code reaches the first layer, its shift and the scale of a norm, not the third",
    ),
    "t-net": Recipe(
        "T-net",
        "behind each layer a learned linear map that the inner loop leaves: a learned metric of its steps",
        "Lee, Choi, Gradient-based meta-learning with learned layerwise metric and subspace, 2018, "
        "https://arxiv.org/abs/1801.05558",
        {"metric": "tnet"},
    ),
    "mt-net": Recipe(
        "MT-net",
        "T-net with a learned mask: which outputs of a layer the inner loop changes",
        "Lee, Choi, Gradient-based meta-learning with learned layerwise metric and subspace, 2018, "
        "https://arxiv.org/abs/1801.05558",
        {"metric": "mtnet"},
        differs="nothing is drawn when a learner adapts: the mask is its probability",
    ),
    "meta-curvature": Recipe(
        "Meta-Curvature",
        "the gradient is multiplied by a learned matrix along each of its axes",
        "Park, Oliva, Meta-Curvature, 2019, https://arxiv.org/abs/1902.03356",
        {"metric": "curvature"},
    ),
    "proto-maml": Recipe(
        "Proto-MAML",
        "MAML whose head begins as that of Prototypical networks",
        "Triantafillou et al., Meta-Dataset, 2020, https://arxiv.org/abs/1903.03096",
        {"head": "prototype"},
        kinds=("classification",),
    ),
    "lstm": Recipe(
        "Coordinate-wise LSTM",
        "an LSTM, the same for every parameter, makes the step of the gradients so far",
        "Andrychowicz et al., Learning to learn by gradient descent by gradient descent, 2016, "
        "https://arxiv.org/abs/1606.04474",
        {"direction": "lstm", "order": "first", "loss": "every", "steps": 10},
        {"regression": 0.1, "classification": 0.1},
        "the start is learned too; the losses after all steps are the queries', and soon count as in MAML++",
    ),
    "meta-lstm": Recipe(
        "LSTM meta-learner",
        "the parameters are the cell of an LSTM: its gates say what is forgotten and how far a step goes",
        "Ravi, Larochelle, Optimization as a model for few-shot learning, 2017, "
        "https://openreview.net/forum?id=rJY0-Kcll",
        {"direction": "meta_lstm", "order": "first", "steps": 5, "limit": "norm"},
        differs="gradients longer than a learned bound are shortened: a task that ran away would ruin it all",
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        UnknownNameError: If there is none; the known ones are listed.
    """
    if name not in RECIPES:
        raise UnknownNameError(f"no recipe called {name!r} (known: {', '.join(RECIPES)})")
    return RECIPES[name]
