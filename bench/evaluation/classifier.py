"""A classifier of real images: the judge of what a model generates (MATHS 9).

It is trained once for a dataset, on its labelled training split alone, and judges every model on
that dataset. Half of what it sees is binarized: decoder probabilities look like grey levels,
draws from them like binarized images.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from bench.data.loading import LoadedData, fingerprint
from bench.tensors import Refused, read_tensors, write_tensors

__all__ = ["Classifier", "Judgement", "image_shape", "trained_classifier"]

VERSION = 1
"""Part of the file's name: raise it whenever the recipe changes."""

SMALLEST_IMAGE = 16  # pixels a side; below that convolutions have nothing to find
FEATURES = 128
DROPOUT = 0.3
BATCH = 128
STEPS = 2000  # at most: 98.7 % on binarized MNIST
STANDARD = 5000  # training data from which location and scale are taken
EPOCHS = 60  # at most, which decides on small data
FEWEST_STEPS = 200
LEARNING_RATE = 4e-3
SEED = 20200888


@dataclass(frozen=True)
class Judgement:
    """What the classifier says of N data.

    Attributes:
        labels: the likeliest label of each, int64, shape (N,).
        features: its last hidden layer, float32, shape (N, F).
    """

    labels: npt.NDArray[np.int64]
    features: Tensor


class Classifier(nn.Module):
    """p(label | x): a small convolutional network for images, a perceptron for other data.

    Args:
        event_shape: of one datum; dimensions of size one do not count.
        labels: L, how many there are.
        loc, scale: what is taken from every coordinate, and what it is then divided by.

    Attributes:
        labels: L.
    """

    loc: Tensor
    scale: Tensor

    def __init__(
        self, event_shape: tuple[int, ...], labels: int, loc: float = 0.0, scale: float = 1.0
    ) -> None:
        super().__init__()
        self.labels = labels
        self.register_buffer("loc", torch.tensor(loc))
        self.register_buffer("scale", torch.tensor(scale))
        self.trunk = _convolutions(event_shape) or _perceptron(math.prod(event_shape))
        self.out = nn.Sequential(nn.Dropout(DROPOUT), nn.Linear(FEATURES, labels))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, L) for data (B, P)."""
        logits: Tensor = self.out(self.features(x))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer (B, F) for data (B, P)."""
        hidden: Tensor = self.trunk((x.to(self.loc.dtype) - self.loc) / self.scale)
        return hidden

    @torch.no_grad()
    def judge(self, x: Tensor, chunk: int = 2000) -> Judgement:
        """The likeliest labels of data (N, P) and their features, in eval mode."""
        self.eval()
        hidden = torch.cat([self.features(rows) for rows in x.split(chunk)])
        labels: npt.NDArray[np.int64] = self.out(hidden).argmax(-1).cpu().numpy()
        return Judgement(labels, hidden)


def image_shape(event_shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Height and width where a datum is one picture in grey, else None.

    Example:
        >>> image_shape((1, 28, 28)), image_shape((3, 32, 32)), image_shape((4,))
        ((28, 28), None, None)
    """
    if len(event_shape) == 2:
        return event_shape[0], event_shape[1]
    if len(event_shape) == 3 and 1 in (event_shape[0], event_shape[-1]):
        height, width = event_shape[1:] if event_shape[0] == 1 else event_shape[:2]
        return height, width
    return None


def trained_classifier(data: LoadedData, cache: Path, device: torch.device) -> Classifier:
    """The classifier of a dataset: read from ``cache``, or trained and left there.

    Its file is named after the labelled training data and the recipe. Processes that need it at
    once wait for the one that trains it; a file that cannot be read is made anew, and a folder
    that cannot be written costs time only. Only the training split is used, and torch's global
    generator is left alone.

    Args:
        data: the dataset, with labels.
        cache: a folder; it need not exist.
        device: where the classifier is trained and returned.

    References: MATHS 9.
    """
    settings = np.asarray([data.levels, len(data.label_names), *data.event_shape])
    mark = fingerprint(data.train_x, data.labels.train, settings)
    path = cache / f"classifier-{data.likelihood}-{mark}-v{VERSION}.pt"
    made = _read(path, data)
    if made is not None:
        return made.to(device)
    lock = FileLock(path.with_suffix(".lock"))
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        made = _read(path, data)  # another process may have made it meanwhile
        if made is not None:
            return made.to(device)
        made = _train(data, device)
        with suppress(OSError):
            weights = {name: value.cpu() for name, value in made.state_dict().items()}
            write_tensors(path, weights, path.name)
        return made
    finally:
        lock.release()


def _read(path: Path, data: LoadedData) -> Classifier | None:
    """The stored classifier; None where it is absent or damaged."""
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        made = Classifier(data.event_shape, len(data.label_names))
    try:
        made.load_state_dict(read_tensors(path, path.name), assign=True)
    except (Refused, RuntimeError):
        return None
    return made.eval()


def _train(data: LoadedData, device: torch.device) -> Classifier:
    """Adam with one cycle of learning rates on half grey, half binarized batches."""
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.labels.train)
    binary = data.likelihood == "bernoulli"
    unit = 1.0 / data.levels if x.dtype == torch.uint8 else 1.0
    with (
        torch.random.fork_rng(),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(SEED)
        sample = x[torch.randperm(len(x))[:STANDARD]].float() * unit
        scale = float(sample.std(correction=0)) or 1.0
        made = Classifier(data.event_shape, len(data.label_names), float(sample.mean()), scale)
        made.to(device).train()
        steps = max(FEWEST_STEPS, min(STEPS, EPOCHS * len(x) // BATCH))
        optimiser = torch.optim.AdamW(made.parameters(), LEARNING_RATE, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(len(x), (BATCH,))
            batch = x[rows].float() * unit  # (B, P)
            if binary:
                batch[BATCH // 2 :] = torch.bernoulli(batch[BATCH // 2 :])
            loss = F.cross_entropy(made(batch.to(device)), y[rows].to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return made.eval()


def _convolutions(event_shape: tuple[int, ...]) -> nn.Sequential | None:
    shape = image_shape(event_shape)
    if shape is None or min(shape) < SMALLEST_IMAGE:
        return None
    height, width = (math.ceil(side / 4) for side in shape)
    return nn.Sequential(
        nn.Unflatten(1, (1, *shape)),
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),  # (B, 32, H/4, W/4)
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(DROPOUT),
        nn.Linear(32 * height * width, FEATURES),
        nn.ReLU(),
    )


def _perceptron(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, 256), nn.ReLU(), nn.Linear(256, FEATURES), nn.ReLU())
