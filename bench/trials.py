"""Trials of a search: those of one shape train as one program, which shrinks at every rung."""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench.config import Config
from bench.config_sections import TRIAL_SEEDS
from bench.engine.choice import has_compiler
from bench.engine.pace import Pace
from bench.engine.replica import Epoch, Replica, TrainingFailed
from bench.errors import BenchError, Interrupted
from bench.grid import Cell
from bench.products import choose_kernels
from bench.training import ReplicaTrainer
from bench.trial_bound import trial_bound
from bench.tuning.records import Proposal, Standing
from bench.workshop import Workshop

OnEpoch = Callable[[int, Epoch], None]


class Trials:
    """The objective of a search: the validation bound at the best epoch of each setting.

    Args:
        cell: whose settings are searched.
        workshop: what models are made with.
        on_start: told of each trial that begins.
        on_epoch: told of each epoch, with the number of its trial.
        stop: whether to end after an epoch.
        checkpoints: the folder that keeps what trains; None for none.
        study: the search's name: what another run has begun of it goes on.
    """

    def __init__(
        self,
        cell: Cell,
        workshop: Workshop,
        on_start: Callable[[Proposal], None],
        on_epoch: OnEpoch,
        stop: Callable[[], bool],
        checkpoints: Path | None = None,
        study: str = "",
    ) -> None:
        self.cell, self.workshop = cell, workshop
        self.on_start, self.on_epoch, self.stop = on_start, on_epoch, stop
        self.checkpoints = checkpoints
        self.study = hashlib.sha256(study.encode()).hexdigest()[:16]
        # Sums depend on how they are split and fused, and on what trains together: what was begun
        # goes on in the same way, on another machine and with other settings of the engine too.
        engine = workshop.config.engine
        mode = engine.mode if workshop.device.type != "cpu" or has_compiler() else "eager"
        self.facts: dict[str, Any] = {
            "threads": workshop.threads,
            "products": workshop.kernels,
            "engine": {
                "mode": mode, "break_even": engine.break_even, "replicas": engine.replicas
            },
        }  # fmt: skip
        pruning = cell.settings["tuning"].get("pruning") or {}
        self.reduction: int = pruning.get("reduction", 1)
        self.rungs: Sequence[int] = pruning.get("rungs", [])

    def settings(self, proposal: Proposal) -> tuple[Config, int | None]:
        """The configuration and K of a trial."""
        config, components = self.workshop.settings(self.cell, proposal.params)
        engine = config.engine.model_copy(update=self.facts["engine"])
        return config.model_copy(update={"engine": engine}), components

    def parts(self, proposals: Sequence[Proposal]) -> list[list[Proposal]]:
        """Those may train together that differ in nothing that a step's shape shows."""
        groups: dict[Any, list[Proposal]] = {}
        for proposal in proposals:
            config, components = self.settings(proposal)
            training = config.training
            shared = training.batch_size, training.precision, training.normalise_gradients
            shape = config.model.latent_dim, config.model.hidden, components
            groups.setdefault((shared, shape), []).append(proposal)
        found = []
        for group in groups.values():
            config, _ = self.settings(group[0])
            size = self.workshop.replicas(self.cell.dataset, config, len(proposals), 1)
            found += [group[start : start + size] for start in range(0, len(group), size)]
        return found

    def start(self, proposals: Sequence[Proposal]) -> Together:
        """The trials as one program."""
        for proposal in proposals:
            self.on_start(proposal)
        return Together(self, proposals)

    def checkpoint(self, proposals: Sequence[Proposal]) -> Path | None:
        """Where these trials, with these settings, are kept while they train."""
        if self.checkpoints is None:
            return None
        content = [self.facts, [[p.number, p.params] for p in proposals]]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        numbers = [proposal.number for proposal in proposals]
        name = f"{self.study}-{min(numbers)}-{max(numbers)}-{digest[:16]}.pt"
        return self.checkpoints / name

    def sweep(self, going: Collection[int]) -> None:
        """Remove what trials of this search have left, but for those that are still ``going``.

        Also what killed writers have left half written, and files that were refused.
        """
        if self.checkpoints is None or not self.checkpoints.is_dir():
            return
        name = re.compile(
            rf"\.?{self.study}-(\d+)-(\d+)-[0-9a-f]{{16}}\.(pt|refused)(\.[0-9a-f]{{32}})?"
        )
        for path in self.checkpoints.iterdir():
            found = name.fullmatch(path.name)
            if found is None:
                continue
            first, last = int(found[1]), int(found[2])
            if not any(first <= number <= last for number in going):
                path.unlink(missing_ok=True)


class Together:
    """Trials that train as one program; where that cannot be done, one after the other."""

    def __init__(self, trials: Trials, proposals: Sequence[Proposal]) -> None:
        self.trials, self.proposals = trials, list(proposals)
        self.checkpoint = trials.checkpoint(proposals)
        self.trainer: ReplicaTrainer | None = None
        self.dropped: set[int] = set()
        self.alone: list[Together] = []
        self.failure = ""
        self._saved = 0  # the epoch of its checkpoint
        # Other parts train in turn with this one: only its own time counts.
        self._rested, self._left = 0.0, time.monotonic()
        config, _ = trials.settings(proposals[0])
        interval = config.training.checkpoint_seconds
        self.pace = Pace(interval, lambda: time.monotonic() - self._rested)

    def advance(self, epoch: int | None) -> Mapping[int, Standing]:
        """Train to the end of an epoch; how each trial stands.

        Raises:
            Interrupted: ``stop`` answered True; the state is saved.
        """
        if not self.alone and not self.failure and self._begun_alone():
            self._part()
        if not self.alone and not self.failure:
            self._rested += time.monotonic() - self._left
            try:
                return self._advance(epoch)
            except (Interrupted, KeyboardInterrupt):
                raise
            except Exception as error:  # out of memory, say: this setting fails, not the search
                self.trainer = None
                if len(self.proposals) == 1:
                    failed = error if isinstance(error, BenchError) else _failure(error)
                    self.failure = str(failed) or type(failed).__name__
                else:
                    self._part()
            finally:
                self._left = time.monotonic()
        if self.failure:
            return {self.proposals[0].number: Standing(0.0, ended=True, failure=self.failure)}
        found: dict[int, Standing] = {}
        for one in self.alone:
            if not one.dropped:
                found |= one.advance(epoch)
        return found

    def drop(self, numbers: Collection[int]) -> None:
        """Stop these trials, and make the program smaller."""
        mine = {p.number for p in self.proposals} & set(numbers)
        self.dropped |= mine
        for one in self.alone:
            one.drop(mine)
        if self.trainer is not None:
            by_seed = {replica.seed - TRIAL_SEEDS: replica for replica in self.trainer.replicas}
            self.trainer.drop([by_seed[number] for number in mine])

    def keep(self) -> None:
        """Save the state, if it is not."""
        for one in self.alone:
            one.keep()
        if self.trainer is not None and self.trainer.number > self._saved:
            self._save(self.trainer)

    def close(self) -> None:
        """The results are stored."""
        for one in self.alone:
            one.close()
        if self.checkpoint is not None:
            self.checkpoint.unlink(missing_ok=True)

    def _begun_alone(self) -> bool:
        """Whether an earlier process had to part them: they go on as they were begun."""
        if self.trainer is not None or len(self.proposals) == 1:
            return False
        paths = [self.trials.checkpoint([proposal]) for proposal in self.proposals]
        return any(path is not None and path.exists() for path in paths)

    def _part(self) -> None:
        self.alone = [Together(self.trials, [proposal]) for proposal in self.proposals]
        self.drop(self.dropped)

    def _advance(self, epoch: int | None) -> dict[int, Standing]:
        torch.set_num_threads(self.trials.facts["threads"])
        trainer = self.trainer = self.trainer or self._trainer()
        begun = trainer.number
        while not trainer.finished() and (epoch is None or trainer.number < epoch):
            for replica, record in trainer.epoch():
                self.trials.on_epoch(replica.seed - TRIAL_SEEDS, record)
            if self.trials.stop():
                self._save(trainer)
                raise Interrupted(f"a trial stopped after epoch {trainer.number}")
            if self.pace.due():
                self._save(trainer)
        # The other trials of the round may take long to come so far.
        if trainer.number > max(begun, self._saved) and self.pace.affords():
            self._save(trainer)
        return {
            replica.seed - TRIAL_SEEDS: _standing(replica, trainer) for replica in trainer.replicas
        }

    def _save(self, trainer: ReplicaTrainer) -> None:
        with self.pace.saving():
            trainer.save()
        self._saved = trainer.number

    def _trainer(self) -> ReplicaTrainer:
        workshop, cell = self.trials.workshop, self.trials.cell
        replicas = []
        for proposal in self.proposals:
            config, components = self.trials.settings(proposal)
            seed = TRIAL_SEEDS + proposal.number
            model = workshop.model(cell, config, components, seed)
            replicas.append(Replica(model, config.training, seed))
        epochs = max(replica.config.epochs for replica in replicas)
        mode = workshop.mode(cell.dataset, config, epochs)
        kernels = choose_kernels(self.trials.facts["products"], workshop.device.type)
        pixels = workshop.pixels(cell.dataset)
        if self.checkpoint is not None:
            self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        owner = "" if self.checkpoint is None else self.checkpoint.stem
        made = ReplicaTrainer(replicas, pixels, mode, self.checkpoint, kernels=kernels, owner=owner)
        self._saved = made.number
        return made


def _standing(replica: Replica, trainer: ReplicaTrainer) -> Standing:
    progress, bound = replica.progress, -math.inf
    if replica.best and not progress.failure and not progress.dropped:
        x = trainer.pixels.validation
        bound = trial_bound(replica.model, replica.best, x, trainer.kernels)
    return Standing(bound, progress.epoch, replica.finished(), progress.failure)


def _failure(error: Exception) -> TrainingFailed:
    return TrainingFailed(f"{type(error).__name__}: {error}")
