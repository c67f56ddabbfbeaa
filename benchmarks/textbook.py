"""A VAE as tutorials write it: what one would have without a harness.

A DataLoader over floats, two linear maps a gate, probabilities and binary cross-entropy, a
(B, K, D) broadcast for the mixture, Adam with its defaults, the loss read at every step.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.data import Images
from benchmarks.settings import Settings

LEARNING_RATE = 5e-4


class Gated(nn.Module):
    """h(x) * sigmoid(g(x)) with a product each for h and g."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.h = nn.Linear(inputs, outputs)
        self.g = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.h(x) * torch.sigmoid(self.g(x))
        return gated


class FusedGated(nn.Module):
    """The same with one product for both: bench's layer, but multiplied as torch does it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.both = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.glu(self.both(x), dim=-1)


class Vae(nn.Module):
    """A VAE with a standard normal prior, or a VampPrior of ``components`` pseudo-inputs."""

    def __init__(self, pixels: int, settings: Settings, components: int | None) -> None:
        super().__init__()
        hidden, latent_dim = settings.hidden, settings.latent_dim
        self.encoder = nn.Sequential(Gated(pixels, hidden), Gated(hidden, hidden))
        self.mean = nn.Linear(hidden, latent_dim)
        self.log_variance = nn.Sequential(nn.Linear(hidden, latent_dim), nn.Hardtanh(-6.0, 2.0))
        self.decoder = nn.Sequential(
            Gated(latent_dim, hidden),
            Gated(hidden, hidden),
            nn.Linear(hidden, pixels),
            nn.Sigmoid(),
        )
        if components is not None:
            start = 0.05 + 0.01 * torch.randn(components, pixels)
            self.pseudo_inputs = nn.Parameter(start)
        self.components = components

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x)
        return self.mean(h), self.log_variance(h)

    def loss(self, x: Tensor) -> Tensor:
        """The negative bound, a mean over the batch."""
        mean, log_variance = self.encode(x)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy(self.decoder(z), x, reduction="none").sum(1)
        return (reconstruction + self.divergence(z, mean, log_variance)).mean()

    def divergence(self, z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
        """KL(q || p), (B,): in closed form under the standard normal, else at the draw z."""
        if self.components is None:
            return -0.5 * (1.0 + log_variance - mean.pow(2) - log_variance.exp()).sum(1)
        m, s = self.encode(self.pseudo_inputs.clamp(0.0, 1.0))  # (K, D)
        distance = (z[:, None] - m).pow(2) / s.exp()  # (B, K, D)
        log_components = -0.5 * (s + distance).sum(2)  # (B, K)
        log_p = torch.logsumexp(log_components, 1) - math.log(self.components)
        log_q = -0.5 * (log_variance + (z - mean).pow(2) / log_variance.exp()).sum(1)
        return log_q - log_p


class Textbook:
    """The loop around it.

    Args:
        images: what to train on, all of them an epoch.
        settings: sizes and device.
        components: of a VampPrior, or None for a standard normal.
    """

    def __init__(self, images: Images, settings: Settings, components: int | None) -> None:
        self.device = settings.device
        grey = TensorDataset(images.train.float() / images.white)
        self.loader = DataLoader(grey, batch_size=settings.batch_size, shuffle=True, drop_last=True)
        self.model = Vae(images.train.shape[1], settings, components).to(self.device)
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=LEARNING_RATE)

    def epoch(self) -> float:
        """One pass over the images; returns the mean loss."""
        total = 0.0
        for (grey,) in self.loader:
            x = torch.bernoulli(grey.to(self.device))
            loss = self.model.loss(x)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            total += loss.item()
        return total / len(self.loader)
