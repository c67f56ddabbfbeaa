"""pythae's VAE and VAMP under its own trainer and data loading, with the networks of bench."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAMP, VAEConfig, VAMPConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from benchmarks.data import Images
from benchmarks.settings import Settings
from benchmarks.textbook import LEARNING_RATE, FusedGated, Gated

Gate = Callable[[int, int], nn.Module]


class Encoder(BaseEncoder):  # type: ignore[misc]
    """Pixels to the mean and the log-variance of q(z | x)."""

    def __init__(self, gate: Gate, pixels: int, settings: Settings) -> None:
        super().__init__()
        hidden = settings.hidden
        self.body = nn.Sequential(gate(pixels, hidden), gate(hidden, hidden))
        self.mean = nn.Linear(hidden, settings.latent_dim)
        self.log_variance = nn.Linear(hidden, settings.latent_dim)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.body(x)
        log_variance = self.log_variance(h).clamp(-6.0, 2.0)
        return ModelOutput(embedding=self.mean(h), log_covariance=log_variance)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """Latents to the probabilities of p(x | z)."""

    def __init__(self, gate: Gate, pixels: int, settings: Settings) -> None:
        super().__init__()
        hidden = settings.hidden
        self.body = nn.Sequential(gate(settings.latent_dim, hidden), gate(hidden, hidden))
        self.out = nn.Linear(hidden, pixels)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=torch.sigmoid(self.out(self.body(z))))


class Pythae:
    """One model of pythae, one epoch at a time.

    Timed is the trainer's ``train_step``: its loop over its loader with everything that the loop
    does, progress bar included (drawn to nowhere). Not timed are its evaluation, its copy of the
    best model and its files. It trains on grey levels: it has no dynamic binarization, which the
    other contenders pay for.

    Args:
        images: what to train on, all of them an epoch.
        settings: sizes and device.
        components: of VAMP, or None for VAE.
        fused: one product for both halves of a gate, as bench has it; else two linear maps.
    """

    def __init__(
        self, images: Images, settings: Settings, components: int | None, fused: bool = True
    ) -> None:
        for name in list(logging.root.manager.loggerDict):
            if name.startswith("pythae"):
                logging.getLogger(name).setLevel(logging.WARNING)
        pixels = images.train.shape[1]
        gate: Gate = FusedGated if fused else Gated
        sizes = {
            "input_dim": (pixels,),
            "latent_dim": settings.latent_dim,
            "reconstruction_loss": "bce",
        }
        networks = Encoder(gate, pixels, settings), Decoder(gate, pixels, settings)
        if components is None:
            model = VAE(VAEConfig(**sizes), *networks)
        else:
            config = VAMPConfig(**sizes, number_components=components, linear_scheduling_steps=100)
            model = VAMP(config, *networks)
        grey = images.train.float() / images.white
        self._folder = TemporaryDirectory(prefix="pythae-")
        self.trainer = BaseTrainer(
            model,
            BaseDataset(grey, torch.zeros(len(grey))),
            training_config=BaseTrainerConfig(
                output_dir=self._folder.name,
                per_device_train_batch_size=settings.batch_size,
                learning_rate=LEARNING_RATE,
                keep_best_on_train=True,
                no_cuda=not settings.cuda,
            ),
        )
        self.trainer.prepare_training()
        self.number = 0

    def epoch(self) -> float:
        """One pass over the images; returns the mean loss."""
        self.number += 1
        with Path(os.devnull).open("w") as nowhere, redirect_stderr(nowhere):
            loss: float = self.trainer.train_step(self.number)
            self.trainer.callback_handler.on_epoch_end(self.trainer.training_config)
        return loss
