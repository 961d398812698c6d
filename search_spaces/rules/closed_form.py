"""What rules without an inner loop share: they embed once and fit a head in closed form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor

from search_spaces.rules.embedding import embed_query, embed_support, embed_together
from search_spaces.rules.interface import Rule
from search_spaces.task import Task, Tensors


@dataclass(frozen=True)
class ClosedForm(Rule):
    """Features, then a head that is a formula of them."""

    @abstractmethod
    def fit(self, meta: Tensors, features: Tensor, y: Tensor, mask: Tensor | None) -> dict[str, Tensor]:
        """The head of a support set: features ``(S, D)``, targets ``(S, O)``."""

    @abstractmethod
    def read(self, meta: Tensors, head: Tensors, features: Tensor) -> Tensor:
        """Predictions ``(Q, O)`` of that head from features ``(Q, D)``."""

    def adapt(
        self, meta: Tensors, buffers: Tensors, x: Tensor, y: Tensor, mask: Tensor | None, key: Tensor
    ) -> dict[str, Tensor]:
        features, statistics = embed_support(self.network, meta, buffers, x, mask)
        return statistics | self.fit(meta, features, y, mask)

    def predict(self, meta: Tensors, buffers: Tensors, adapted: Tensors, x: Tensor) -> Tensor:
        return self.read(meta, adapted, embed_query(self.network, meta, buffers, adapted, x))

    def outer_loss(
        self, meta: Tensors, buffers: Tensors, task: Task, key: Tensor, progress: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """As the default, but in one pass over support and query where the norm allows it."""
        if self.network.norm == "support":
            return super().outer_loss(meta, buffers, task, key, progress)
        support, query, statistics = embed_together(self.network, meta, task)
        head = self.fit(meta, support, task["support_y"], task.get("support_mask"))
        return self.query_loss(self.read(meta, head, query), task), statistics
