"""The base class of a dataset plugin. It knows nothing of torch: arrays in, arrays out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from bench.data.download import Download
from bench.data.files import AdvisedError, advice, check, locate

__all__ = ["Dataset", "Likelihood", "Split", "Splits"]

Likelihood = Literal["bernoulli", "gaussian"]


@dataclass(frozen=True)
class Split:
    """One split of a dataset.

    Attributes:
        x: the data, shape (N, *event_shape): uint8 grey levels out of ``Splits.levels`` or
            float32 probabilities for a Bernoulli likelihood; float32 values for a Gaussian one.
        y: int64 labels, shape (N,), values index ``Splits.label_names``. Evaluation only.
        extra: further int64 labels by name, each of shape (N,).
    """

    x: npt.NDArray[Any]
    y: npt.NDArray[np.int64]
    extra: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Splits:
    """The three disjoint splits of a dataset, before any binarization.

    Attributes:
        train, validation, test: the splits.
        label_names: name of each label value.
        levels: grey level that means probability one, for uint8 data.
        verified: whether the files passed their checksums (False for ``--unverified`` imports).
    """

    train: Split
    validation: Split
    test: Split
    label_names: tuple[str, ...]
    levels: int = 255
    verified: bool = True


class Dataset(ABC):
    """A dataset plugin: one file, one subclass, registered under the file's name.

    ``load`` only reads; the network is used by ``bench data fetch`` alone. A dataset whose data
    come with an installed package sets ``embedded = True`` and needs neither files nor downloads.

    Attributes:
        name: the key in the registry: the name of the module, unless the class sets its own.
        likelihood: of x given the latents.
        embedded: whether the data need no file at all.
        downloads: the files, with their checksums.
        importable: whether ``bench data import`` can place the files; true where there are
            downloads, unless the class says otherwise.

    Example:
        >>> from bench.api import Dataset, Download, Splits
        >>> class Images(Dataset):
        ...     downloads = (Download(("https://example.org/a.npy",), "images/a.npy", checksum),)
        ...     def load(self, roots):
        ...         files = self.locate(roots)
        ...         return Splits(..., verified=self.verify(files, roots))
    """

    name: ClassVar[str] = ""
    likelihood: ClassVar[Likelihood] = "bernoulli"
    embedded: ClassVar[bool] = False
    downloads: ClassVar[tuple[Download, ...]] = ()
    importable: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = cls.__module__.rpartition(".")[2]
        if "importable" not in cls.__dict__:
            cls.importable = bool(cls.downloads)

    @abstractmethod
    def load(self, roots: Sequence[Path]) -> Splits:
        """Read the splits from the first of ``roots`` that holds them.

        Raises:
            DataError: nothing is found, or what is found is damaged.
        """

    def log_density(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64] | None:
        """The logarithm, in nats, of the density that the data were drawn from; None: not known.

        Where it is known, what a model generates is compared with it (MATHS 8).

        Args:
            x: data, shape (N, *event_shape), on the scale of ``Split.x``.

        Returns:
            Shape (N,).
        """
        return None

    def missing(self, roots: Sequence[Path]) -> str | None:
        """Why the data cannot be loaded from ``roots`` (one sentence), or None if they can.

        Cheap: it looks for the files and does not open them.
        """
        if not self.downloads or locate(self.downloads, roots) is not None:
            return None
        names = ", ".join(download.path for download in self.downloads)
        where = ", ".join(str(root) for root in roots) or "no folder"
        return f"{names} not found together in one data folder (looked in {where})"

    def locate(self, roots: Sequence[Path]) -> tuple[Path, ...]:
        """The paths of the files, in the order of ``downloads``.

        Raises:
            DataError: no root holds them all; the message ends with the commands to run.
        """
        paths = locate(self.downloads, roots)
        if paths is None:
            raise AdvisedError(self.missing_message(roots))
        return paths

    def verify(self, paths: Sequence[Path], roots: Sequence[Path] = ()) -> bool:
        """Whether every file is the published one; False where the user vouches for another.

        Call it after parsing, so that a damaged file is reported as what it is.

        Raises:
            DataError: a file's checksum differs, and it was not imported with ``--unverified``.
        """
        verified = True
        for download, path in zip(self.downloads, paths, strict=True):
            result = check(download, path)
            if result.state == "mismatch":
                raise AdvisedError(
                    f"{path} is not the published file: expected {result.expected}, "
                    f"found {result.found}. "
                    + advice(self.name, self.downloads, roots, unverified=True)
                )
            verified = verified and result.state == "verified"
        return verified

    def missing_message(self, roots: Sequence[Path]) -> str:
        """What is missing, then the commands that would fix it; empty if nothing is."""
        reason = self.missing(roots)
        if reason is None:
            return ""
        message = f"dataset {self.name} is missing: {reason}."
        return (
            f"{message} {advice(self.name, self.downloads, roots)}" if self.downloads else message
        )
