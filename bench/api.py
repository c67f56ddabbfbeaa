"""All that a plugin imports."""

from bench.data.base import Dataset, Split, Splits
from bench.data.cache import cached_array
from bench.data.checksums import checksum_of_file
from bench.data.download import Download
from bench.data.idx import idx_downloads, load_idx_splits
from bench.errors import DataError
from bench.joint import DiagNormal, Joint, Mixture, OneHotCategorical
from bench.networks import (
    AdditiveGaussianHead,
    CategoryHead,
    GatedLinear,
    GaussianHead,
    bound_log_variance,
    means_apart,
)
from bench.plugin import Posterior, Prior
from bench.spaces import Choice, Float, Int
from bench.spec import Spec

__all__ = [
    "AdditiveGaussianHead",
    "CategoryHead",
    "Choice",
    "DataError",
    "Dataset",
    "DiagNormal",
    "Download",
    "Float",
    "GatedLinear",
    "GaussianHead",
    "Int",
    "Joint",
    "Mixture",
    "OneHotCategorical",
    "Posterior",
    "Prior",
    "Spec",
    "Split",
    "Splits",
    "bound_log_variance",
    "cached_array",
    "checksum_of_file",
    "idx_downloads",
    "load_idx_splits",
    "means_apart",
]
