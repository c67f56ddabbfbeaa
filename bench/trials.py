"""Trials of a search: those of one shape train as one program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bench.engine.replica import Epoch, Replica, TrainingFailed
from bench.errors import BenchError, Interrupted
from bench.grid import Cell
from bench.training import ReplicaTrainer
from bench.tuning import Proposal
from bench.workshop import Workshop

# Trials train on seeds of their own, so that the reported seeds are fresh to the chosen setting.
TRIAL_SEED = 1_000_000

Result = float | BenchError
OnEpoch = Callable[[int, Epoch], None]


class Trials:
    """The objective of a search: the best validation bound that each setting reaches.

    Args:
        cell: whose settings are searched.
        workshop: what models are made with.
        on_epoch: told of each epoch, with the number of its trial.
        stop: whether to end after an epoch.
    """

    def __init__(
        self, cell: Cell, workshop: Workshop, on_epoch: OnEpoch, stop: Callable[[], bool]
    ) -> None:
        self.cell, self.workshop, self.on_epoch, self.stop = cell, workshop, on_epoch, stop

    def __call__(self, proposals: Sequence[Proposal]) -> list[Result]:
        """The bound of every proposal, or why it has none.

        Raises:
            Interrupted: ``stop`` answered True.
        """
        found: dict[int, Result] = {}
        for group in self._alike(proposals):
            found |= self._train(group)
        return [found[proposal.number] for proposal in proposals]

    def _alike(self, proposals: Sequence[Proposal]) -> Iterator[list[Proposal]]:
        """Proposals that may train together: they differ in nothing that a step's shape shows."""
        groups: dict[Any, list[Proposal]] = {}
        for proposal in proposals:
            config, components = self.workshop.settings(self.cell, proposal.params)
            training = config.training
            shared = training.batch_size, training.precision, training.normalise_gradients
            shape = config.model.latent_dim, config.model.hidden, components
            groups.setdefault((shared, shape), []).append(proposal)
        for group in groups.values():
            config, _ = self.workshop.settings(self.cell, group[0].params)
            size = self.workshop.replicas(self.cell.dataset, config, len(proposals), 1)
            for start in range(0, len(group), size):
                yield group[start : start + size]

    def _train(self, group: Sequence[Proposal]) -> dict[int, Result]:
        try:
            return self._together(group)
        except (Interrupted, KeyboardInterrupt):
            raise
        except Exception as error:  # out of memory, say: this setting fails, not the search
            if len(group) == 1:
                failed = error if isinstance(error, BenchError) else _failure(error)
                return {group[0].number: failed}
        found: dict[int, Result] = {}
        for proposal in group:
            found |= self._train([proposal])
        return found

    def _together(self, group: Sequence[Proposal]) -> dict[int, Result]:
        replicas = []
        for proposal in group:
            config, components = self.workshop.settings(self.cell, proposal.params)
            seed = TRIAL_SEED + proposal.number
            model = self.workshop.model(self.cell, config, components, seed)
            replicas.append(Replica(model, config.training, seed))
        epochs = max(replica.config.epochs for replica in replicas)
        mode = self.workshop.mode(self.cell.dataset, config, epochs)
        pixels = self.workshop.pixels(self.cell.dataset)
        trainer = ReplicaTrainer(replicas, pixels, mode, kernels=self.workshop.kernels)
        trainer.run(
            lambda replica, epoch: self.on_epoch(replica.seed - TRIAL_SEED, epoch), self.stop
        )
        return {
            proposal.number: TrainingFailed(replica.progress.failure)
            if replica.progress.failure
            else replica.progress.best_bound
            for proposal, replica in zip(group, replicas, strict=True)
        }


def _failure(error: Exception) -> TrainingFailed:
    return TrainingFailed(f"{type(error).__name__}: {error}")
