"""The sections of the report, each column with its meaning."""

from __future__ import annotations

from bench.report.best import BEST, TIED, UNKNOWN
from bench.report.columns import Column, Section, beside, check, flag, noise, number
from bench.report.sections_generation import DENSITY, GENERATION
from bench.report.summary import Line

__all__ = ["BOUNDS", "LABELS", "NARROW", "SECTIONS", "UNITS"]

UNITS = (
    "Bounds, entropies, informations and divergences are in nats. ± is the standard deviation "
    "over training seeds; with one seed, the standard error of the measurement."
)

RANKS = {BEST: "● ", TIED: "≈ ", UNKNOWN: "? "}

LABELS = "labels"
"""The name of the section that has a table for each line, of its labels."""


def _side(line: Line) -> str:
    return "°" if line.assignment == "prior" else ""


def _ranked(line: Line) -> str:
    value = line.values.get("nelbo")
    return "" if value is None else RANKS.get(line.rank, "") + value.text(2)


def _ceiling(line: Line) -> str:
    value = line.values.get("at_ceiling")
    return "†" if value is not None and value.mean > 0 else ""


BOUNDS = Section(
    "bounds",
    "bounds and categories",
    (
        Column("NELBO", "minus the ELBO, lower is better", ("nelbo",), _ranked),
        number("NLL", "nll", 2, "the importance-weighted bound, lower is better"),
        number(
            "exp H(c)", "effective_categories", 1,
            "effective number of categories, of the aggregated posterior (°: of p(component|x))",
            mark=_side,
        ),
        number("I(c;x)", "category_information", 2, "what the category says about x"),
        beside(
            "purity (chance)", "purity", "purity_chance", 2,
            "per-label purity, macro average over labels (its exact permutation null)",
            error=True,
        ),
        number("corrected", "purity_corrected", 2, "purity between chance, 0, and 1"),
        number("NMI", "nmi", 2, "of the soft assignment with the labels"),
        number("ARI", "ari", 2, "of its argmax with the labels"),
        number("units", "active_units", 0, "active latent units"),
    ),
    note=(
        "Categories are q(c|x), or p(component|x) where the model has no category. "
        "collapsed: I(c;x) below 0.1 nats."
    ),
)  # fmt: skip

NARROW = ("NELBO", "I(c;x)", "purity (chance)")
"""The columns of ``bounds`` that are left where the terminal is too narrow for all."""

LIKELIHOOD = Section(
    "likelihood",
    "the bounds in parts, and whether their weights can be trusted",
    (
        number("NELBO", "nelbo", 2, "minus the ELBO, recon + KL z + KL c", error=True),
        noise("NELBO MC", "nelbo", 3, "its Monte Carlo error, apart from seeds and examples"),
        number("recon", "reconstruction", 2, "minus the expected log p(x|z,c)"),
        number("KL z", "kl_z", 2, "from p(z|c) or p(z), all layers"),
        number("KL c", "kl_c", 2, "from p(c)"),
        number(
            "relaxed gap", "relaxed_gap", 2,
            "NELBO minus the relaxed objective of training, which is no bound", error=True,
        ),
        number("T", "relaxed_temperature", 2, "the temperature of that objective"),
        number("NLL", "nll", 2, "bound by S importance samples of (z, c)", error=True),
        noise("NLL MC", "nll", 3, "its Monte Carlo error"),
        number("S", "importance_samples", 0, "importance samples"),
        number("NLL rb", "nll_rb", 2, "bound with c summed out (Rao-Blackwellised)", error=True),
        noise("rb MC", "nll_rb", 3, "its Monte Carlo error"),
        number("S rb", "rb_samples", 0, "its samples, each of which decodes every category"),
        number("ESS", "ess", 0, "effective sample size, median over x"),
        number("max share", "max_weight_share", 3, "largest weight's share, median over x"),
        number(
            "k high", "pareto_high", 2,
            "share of examples whose Pareto k-hat is above its limit for S",
        ),
        flag(
            "weights", "weights_trusted",
            "untrusted: the error of NLL and its closeness to -log p(x) are void, not the bound",
            "trusted", "untrusted", warning=True,
        ),
        number("rb ESS", "rb_ess", 0, "effective sample size of the weights of NLL rb"),
        number("rb max", "rb_max_weight_share", 3, "max share of these"),
        number("rb k high", "rb_pareto_high", 2, "k high of these"),
        flag(
            "rb weights", "rb_weights_trusted", "weights, for NLL rb", "trusted", "untrusted",
            warning=True,
        ),
    ),
    needs=("ess", "nll_rb", "weights_trusted"),
    note=(
        "NLL rb is at an equal number of decodes, not an equal S. untrusted may only mean too few "
        "samples: see convergence."
    ),
)  # fmt: skip

CONVERGENCE = Section(
    "convergence",
    "the importance-weighted bounds at fewer samples",
    (
        number("S", "importance_samples", 0, "importance samples of (z, c)"),
        number("NLL 1", "nll_1", 2, "the bound by 1 of them"),
        number("NLL 10", "nll_10", 2, "by 10"),
        number("NLL 100", "nll_100", 2, "by 100"),
        number("NLL 1000", "nll_1000", 2, "by 1000"),
        number("NLL S", "nll", 2, "by all"),
        noise("MC", "nll", 3, "Monte Carlo error of NLL S"),
        number("S rb", "rb_samples", 0, "samples with c summed out"),
        number("rb 1", "nll_rb_1", 2, "the bound by 1 of these"),
        number("rb 10", "nll_rb_10", 2, "by 10"),
        number("rb 100", "nll_rb_100", 2, "by 100"),
        number("rb S", "nll_rb", 2, "by all"),
        noise("rb MC", "nll_rb", 3, "Monte Carlo error of rb S"),
    ),
    needs=("nll_1", "nll_rb_1"),
    note=(
        "All from the same weights, blank where S is not larger. On average each is above "
        "-log p(x) and falls with S; while it still falls, its bias is not yet small."
    ),
)  # fmt: skip

DECOMPOSITION = Section(
    "decomposition",
    "the ELBO as A - B1 - B2 - C1 - C2 - T1",
    (
        number("N", "decomposition_points", 0, "test points that define the aggregated posterior"),
        number("A", "A", 2, "E log p(x|z,c)", error=True),
        number("B1", "B1", 2, "information about x in z, within c if p(z|c) has c", error=True),
        number("B2", "B2", 2, "information about x in c"),
        number("C1", "C1", 2, "divergence of the aggregated z from its prior", error=True),
        number("C2", "C2", 3, "of the aggregated c from its prior"),
        number("T1", "T1", 2, "of the lower layer's posterior from its prior", error=True),
        number("I(z;c)", "I_z_c", 2, "between z and c, aggregated over x", error=True),
        number(
            "I(z,c;x)", "I_zc_x", 2, "of both with x; † within 0.1 of its ceiling",
            error=True, mark=_ceiling, marked_by=("at_ceiling",),
        ),
        number("log N", "I_ceiling", 2, "that ceiling: compare only lines of one N"),
        check(
            "gap", "decomposition_gap", 3,
            "the terms' sum minus the ELBO ± its standard error, never over seeds",
        ),
        number("h(z)", "latent_entropy", 2, "entropy of the aggregated z; never rank by it"),
    ),
    needs=("A",),
    note="With one seed every ± is the error over the draws of (x, z, c).",
)  # fmt: skip

CATEGORIES = Section(
    "categories",
    "categories and labels",
    (
        number("H(c)", "entropy", 2, "entropy of the aggregated categories"),
        number("exp H(c)", "effective_categories", 1, "effective number of them", mark=_side),
        number(
            "U", "categories_used", 0, "categories used: share above 1/K, as the paper counts"
        ),
        number("present", "categories_present", 0, "share above 1/(10K)"),
        number("H(c|x)", "mean_conditional_entropy", 2, "mean entropy of x's own category"),
        number("I(c;x)", "category_information", 2, "what they say about x", error=True),
        beside(
            "purity (chance)", "purity", "purity_chance", 2,
            "soft, macro average over labels (its exact permutation null)", error=True,
        ),
        beside("micro", "purity_micro", "purity_micro_chance", 2, "soft, average over examples"),
        number("micro corr", "purity_micro_corrected", 2, "that between chance, 0, and 1"),
        beside("hard", "purity_hard", "purity_hard_chance", 2, "macro purity of the argmax"),
        beside(
            "cluster", "cluster_purity", "cluster_purity_chance", 2,
            "each category's largest label, summed",
        ),
        number("NMI", "nmi", 2, "of the soft assignment"),
        number("homogeneity", "homogeneity", 2, "I(c;y)/H(y)"),
        number("completeness", "completeness", 2, "I(c;y)/H(c)"),
        number("ARI", "ari", 2, "adjusted Rand index of the argmax"),
        number("AMI", "ami", 2, "adjusted mutual information of the argmax"),
        number("overlap", "label_overlap", 2, "mean shared mass of two labels' categories"),
        number("distinct", "top_distinct", 0, "categories in the labels' top-five lists"),
        number("marked", "top_marked", 0, "places there held by a category of several labels"),
        number("top mass", "top_mass", 2, "share of a label in its top five"),
        number("matched", "accuracy_matched", 2, "Hungarian accuracy, where K is L"),
        number("majority", "accuracy_majority", 2, "accuracy of each category's training label"),
    ),
    needs=("entropy",),
    note="Categories are q(c|x), or p(component|x), marked °.",
)  # fmt: skip

PRIOR_SIDE = Section(
    "prior-side",
    "categories by the prior's components, p(component|x)",
    (
        number("H", "prior_entropy", 2, "entropy of the aggregated responsibilities"),
        number("exp H", "prior_effective_categories", 1, "effective number of components"),
        number("I(j;x)", "prior_category_information", 2, "what the component says about x"),
        beside(
            "purity (chance)", "prior_purity", "prior_purity_chance", 2,
            "soft, macro average over labels (its exact permutation null)", error=True,
        ),
        number("corrected", "prior_purity_corrected", 2, "purity between chance, 0, and 1"),
        number("NMI", "prior_nmi", 2, "of the soft assignment"),
        number("ARI", "prior_ari", 2, "of its argmax"),
        number("disagreement", "disagreement", 2, "mean total variation from q(c|x), 0 to 1"),
    ),
    needs=("prior_entropy",),
)  # fmt: skip

KMEANS = Section(
    "kmeans",
    "k-means on latent means, for models whose encoder has no category",
    (
        number("clusters", "kmeans_k", 0, "how many"),
        beside(
            "purity (chance)", "kmeans_purity", "kmeans_purity_chance", 2,
            "hard, macro average over labels (its exact permutation null): compare with hard of "
            "categories", error=True,
        ),
        number("NMI", "kmeans_nmi", 2, "normalised mutual information"),
        number("ARI", "kmeans_ari", 2, "adjusted Rand index"),
        number("accuracy", "kmeans_accuracy", 2, "Hungarian accuracy, where clusters are L"),
    ),
    needs=("kmeans_purity",),
)  # fmt: skip

SECTIONS = (
    BOUNDS, LIKELIHOOD, CONVERGENCE, DECOMPOSITION, CATEGORIES, PRIOR_SIDE, KMEANS, GENERATION,
    DENSITY,
)  # fmt: skip
"""All but ``labels``, in the report's order."""
