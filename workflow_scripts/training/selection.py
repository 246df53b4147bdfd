"""Which weights a run ends with: the last ones, their average, or the best on a validation set."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from workflow_scripts.training.state import Weights


@dataclass(frozen=True)
class Selection:
    """When to validate, and what follows from the scores.

    Parameters
    ----------
    every_steps : int
        Steps between two validations; the last step is always one.
    metric : str
        The score that counts; higher is better.
    patience : int
        Validations without a new best after which the best weights are restored and the learning
        rate is reduced.
    reductions : int
        Reductions of the rate in a row, with no new best between them; the next plateau ends the
        run.
    reduction : float
        What each multiplies the rate by.
    """

    every_steps: int
    metric: str
    patience: int = 10
    reductions: int = 2
    reduction: float = 0.3


class WeightKeeper:
    """Keeps the average and the best weights of a run, and says when to go slower and stop.

    All of it goes into the resumable state: the sets of weights are `kept`, the counts `record`.

    Parameters
    ----------
    module : torch.nn.Module
        The module in training.
    selection : Selection, optional
    kept, record : dict
        From the saved state; empty for a new run.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        selection: Selection | None,
        kept: dict[str, Weights],
        record: dict[str, Any],
    ) -> None:
        self._module, self._selection = module, selection
        now = module.state_dict()
        self.kept = {
            kind: {name: tensor.to(now[name].device) for name, tensor in weights.items()}
            for kind, weights in kept.items()
        }
        self._best = record.get("best", -math.inf)
        self._stale = record.get("stale", 0)
        self._reduced = record.get("reduced", 0)
        self._in_vain = record.get("in_vain", 0)
        self._averaged = record.get("averaged", 0)
        self.stopped = record.get("stopped", False)

    @property
    def rate_factor(self) -> float:
        """What the reductions so far make of the learning rate."""
        return self._selection.reduction**self._reduced if self._selection else 1.0

    def record(self) -> dict[str, Any]:
        """Counts for the saved state."""
        return {
            "best": self._best,
            "stale": self._stale,
            "reduced": self._reduced,
            "in_vain": self._in_vain,
            "averaged": self._averaged,
            "stopped": self.stopped,
        }

    @torch.no_grad()
    def average(self) -> None:
        """Take the weights of this step, and the statistics of batch norm, into the average."""
        self._averaged += 1
        average = self.kept.setdefault("average", self._copy())
        for name, now in self._module.state_dict().items():
            if now.is_floating_point():
                average[name].lerp_(now, 1 / self._averaged)
            else:
                average[name].copy_(now)

    @contextmanager
    def candidate(self) -> Iterator[None]:
        """Give the module the weights that the run would end with now, in evaluation mode."""
        training = self._copy()
        self._restore("average")
        self._module.eval()
        try:
            yield
        finally:
            self._module.load_state_dict(training)
            self._module.train()

    def judge(self, scores: Mapping[str, float]) -> None:
        """Keep the candidate if it is the best so far; on a plateau restore, slow down or stop."""
        if self._selection is None:
            return
        score = scores[self._selection.metric]
        if score > self._best:
            self._best, self._stale, self._in_vain = score, 0, 0
            with self.candidate():
                self.kept["best"] = self._copy()
            return
        self._stale += 1
        if self._stale < self._selection.patience:
            return
        self._stale = 0
        self.stopped = self._in_vain == self._selection.reductions
        if not self.stopped:
            self._reduced += 1
            self._in_vain += 1
            self._restore("best")

    def finish(self) -> None:
        """Give the module its final weights."""
        self._restore("best" if self._selection else "average")

    def _restore(self, kind: str) -> None:
        if kind in self.kept:
            self._module.load_state_dict(self.kept[kind])

    def _copy(self) -> Weights:
        return {name: now.detach().clone() for name, now in self._module.state_dict().items()}
