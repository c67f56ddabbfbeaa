"""A trained model to use: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from bench.errors import UsageError
from bench.evaluation.component_sampling import component_count, given_component
from bench.loading import load_model
from bench.model import Model

__all__ = ["TrainedModel"]

Floats = npt.NDArray[np.float32]
CHUNK = 1024  # rows at once, so that memory is bounded


class TrainedModel:
    """Encodes, decodes and samples.

    Args:
        model: a model, as ``bench.loading.load_model`` gives it.

    Example:
        >>> model = TrainedModel.load(Path("runs/cells/1a2b3c4d5e6f"))
        >>> model.sample(16, category=3).shape
        (16, 8, 8)
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._like = next(model.decoder.parameters())

    @classmethod
    def load(cls, folder: Path) -> TrainedModel:
        """The model of a cell's folder.

        Raises:
            BenchError: a file is missing, damaged or does not fit.
        """
        return cls(load_model(folder))

    @property
    def categories(self) -> int | None:
        """How many categories, or components of the prior, ``sample`` can be asked for."""
        with torch.no_grad():
            return component_count(self.model, self.model.joint_prior())

    def encode(self, x: npt.ArrayLike) -> dict[str, Floats]:
        """Where data lie in the latent space.

        Args:
            x: data on the scale that the model was trained on (pixels from 0 to 1), shape
                (N, \\*event) or (N, P).

        Returns:
            ``c``: q(c | x), shape (N, K), where the model has categories; and the posterior mean
            of every continuous latent, shape (N, D): given the most probable category, and the
            means of the latents above.

        Raises:
            UsageError: the shape does not fit.
        """
        size = self.model.spec.event_size
        rows = self._tensor(x)
        if rows.ndim < 2 or rows[0].numel() != size:
            raise UsageError(
                f"expected data of shape (N, {size}) or (N, "
                f"{', '.join(map(str, self.model.spec.event_shape))}), found {tuple(rows.shape)}"
            )
        parts = [self._encode(part) for part in rows.reshape(len(rows), size).split(CHUNK)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    @torch.no_grad()
    def _encode(self, x: Tensor) -> dict[str, Floats]:
        q = self.model.posterior(x)
        values: dict[str, Tensor] = {}
        found: dict[str, Floats] = {}
        for name in q.names:
            factor = q.given(name, values)
            mean = factor.mean
            values[name] = mean
            if name == "c":
                values[name] = torch.zeros_like(mean).scatter(-1, mean.argmax(-1, True), 1.0)
            found[name] = _array(mean.expand(len(x), -1))
        return found

    @torch.no_grad()
    def decode(self, z: npt.ArrayLike | Mapping[str, Any], category: int | None = None) -> Floats:
        """The mean of p(x | z, c): of binary pixels, their probabilities.

        Args:
            z: the continuous latent, shape (N, D); where there are two layers, or to give the
                category of each row, all latents by name, as ``encode`` returns them.
            category: the category of all rows, from 0, where the model has categories and ``z``
                does not hold them.

        Returns:
            Shape (N, \\*event).

        Raises:
            UsageError: a latent or the category is missing, or does not fit.
        """
        given = z if isinstance(z, Mapping) else {self.model.spec.latents[0]: z}
        values = {name: self._tensor(value) for name, value in given.items()}
        count = self.model.spec.categories
        missing = [name for name in self.model.spec.latents if name not in values]
        if missing:
            raise UsageError(
                f"expected the latents {', '.join(self.model.spec.latents)} by name, "
                f"found no {', '.join(missing)}"
            )
        dim = self.model.spec.latent_dim
        for name in self.model.spec.latents:
            if values[name].ndim != 2 or values[name].shape[1] != dim:
                raise UsageError(
                    f"expected {name} of shape (N, {dim}), found {tuple(values[name].shape)}"
                )
        if category is not None:
            self._check(category, count)
            rows = len(values[self.model.spec.latents[0]])
            values["c"] = self._like.new_zeros(rows, count or 0)
            values["c"][:, category] = 1.0
        if count is not None and "c" not in values:
            raise UsageError(f"this model has {count} categories: say which with category=K")
        return self._data(self.model.decode(values).mean)

    @torch.no_grad()
    def sample(self, n: int, category: int | None = None, *, seed: int | None = None) -> Floats:
        """Data that the model generates: the decoder's means at draws from the prior.

        Args:
            n: how many.
            category: only from this category, from 0; where the model has none, from this
                component of its prior.
            seed: of the draws; None: new ones each time.

        Returns:
            Shape (n, \\*event).

        Raises:
            UsageError: there is no such category.
        """
        latents = self.model.joint_prior()
        if category is not None:
            self._check(category, component_count(self.model, latents))
            latents = given_component(self.model, latents, category)
        noise = torch.Generator(self._like.device)
        if seed is None:
            noise.seed()
        else:
            noise.manual_seed(seed)
        sizes = [min(CHUNK, n - start) for start in range(0, n, CHUNK)]
        made = [self._data(self.model.decode(latents.sample((s,), noise)).mean) for s in sizes]
        return np.concatenate(made) if made else np.empty((0, *self.model.spec.event_shape), "f4")

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """``encode``, under the name that MLflow calls."""
        return self.encode(np.asarray(model_input))

    def get_raw_model(self) -> TrainedModel:
        """Itself: what MLflow's ``PyFuncModel.get_raw_model`` gives."""
        return self

    @staticmethod
    def _check(category: int, count: int | None) -> None:
        if count is None:
            raise UsageError("this model has neither categories nor components: leave category out")
        whole = isinstance(category, int | np.integer) and not isinstance(category, bool)
        if not whole or not 0 <= category < count:
            raise UsageError(f"expected a category from 0 to {count - 1}, found {category!r}")

    def _tensor(self, value: Any) -> Tensor:
        return torch.as_tensor(np.asarray(value), dtype=self._like.dtype, device=self._like.device)

    def _data(self, mean: Tensor) -> Floats:
        return _array(mean.reshape(-1, *self.model.spec.event_shape))


def _array(tensor: Tensor) -> Floats:
    found: Floats = tensor.float().cpu().numpy()
    return found
