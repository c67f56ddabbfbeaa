"""What is declared learnable is learned: it gets a gradient and the optimiser moves it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.config import TrainingConfig
from bench.engine.population import objective
from bench.model import Model
from bench.testing.finding import Breach
from bench.testing.subject import Subject, rows, seeded
from bench.training import Pixels, Replica, ReplicaTrainer, TrainingFailed

BETA, TEMPERATURE = 0.5, 0.7
BATCH = 8
CONFIG = TrainingConfig(
    batch_size=BATCH,
    learning_rate=1e-2,
    epochs=3,
    warmup_epochs=2,
    patience=3,
    initialisation="glorot",
    normalise_gradients=False,
    precision="float32",
    temperature_start=1.0,
    temperature_floor=0.5,
    temperature_decay=1e-3,
    checkpoint_seconds=3600.0,
)


def loss_of(model: Model) -> Tensor:
    """The training objective on a small batch."""
    noise = model.noise((BATCH,), seeded())
    return objective(model, rows(BATCH, model.spec.event_size), noise, BETA, TEMPERATURE)


def check_gradients(subject: Subject) -> None:
    """Every parameter gets a gradient from the training objective."""
    model = subject.model()
    loss_of(model).backward()
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        gradient = parameter.grad
        if gradient is None or not bool(gradient.abs().sum() > 0):
            raise Breach(
                f"a gradient for parameter {name}",
                "none: it would never be learned",
                "Use it in forward without detach() or .data; what shall not be learned is a "
                "buffer, or has requires_grad=False.",
            )
        if not bool(gradient.isfinite().all()):
            raise Breach(f"a finite gradient for parameter {name}", "NaN or infinity")


def check_registered(subject: Subject) -> None:
    """All that the objective would learn is among the parameters that the optimiser is given."""
    model = subject.model()
    known = {id(parameter) for parameter in model.parameters()}
    for leaf in leaves(loss_of(model)):
        if id(leaf) not in known:
            raise Breach(
                "every tensor that gets a gradient to be a parameter of the model",
                f"one of shape {tuple(leaf.shape)} that model.parameters() does not list"
                f"{_attribute(model, leaf)}: the optimiser never sees it",
                "Assign an nn.Parameter to an attribute in the constructor; several go into an "
                "nn.ParameterList, not into a list.",
            )


def check_moves(subject: Subject) -> None:
    """A few steps of the harness's own training change every parameter."""
    model = subject.model()
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    data = Pixels(rows(BATCH), rows(BATCH, seed=1), scale=1.0, binary=False)
    replica = Replica(model, CONFIG, seed=0)
    trainer = ReplicaTrainer([replica], data)
    while not trainer.finished():
        trainer.epoch()
    if replica.progress.failure:
        raise TrainingFailed(replica.progress.failure)
    for name, parameter in model.named_parameters():
        if name in before and torch.equal(before[name], parameter):
            raise Breach(
                f"parameter {name} of shape {tuple(parameter.shape)} to change in "
                f"{CONFIG.epochs} training steps",
                "the values that it started with",
            )


def leaves(root: Tensor) -> Iterator[Tensor]:
    """The tensors to which a backward pass from ``root`` accumulates gradients."""
    seen: set[object] = set()
    stack = [root.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            yield leaf
        stack.extend(parent for parent, _ in node.next_functions)


def _attribute(model: Model, leaf: Tensor) -> str:
    """Where the plugin keeps the tensor, for the message; nothing where it cannot be found."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if not name.startswith("_") and _holds(value, leaf):
                return f" (it is kept in {path}.{name})"
    return ""


def _holds(value: object, leaf: Tensor) -> bool:
    if isinstance(value, dict):
        return any(_holds(part, leaf) for part in value.values())
    if isinstance(value, list | tuple):
        return any(_holds(part, leaf) for part in value)
    return value is leaf
