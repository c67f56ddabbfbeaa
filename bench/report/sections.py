"""The sections of the report, each column with its meaning."""

from __future__ import annotations

from bench.report.best import BEST, TIED, UNKNOWN
from bench.report.columns import Column, Section, beside, flag, noise, number
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
            "effective number of categories, of the aggregated posterior", mark=_side,
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
        "Categories are q(c|x), or p(component|x) (marked °) where the model has no category. "
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
        number("NLL", "nll", 2, "bound by S importance samples of (z, c)", error=True),
        noise("NLL MC", "nll", 3, "its Monte Carlo error"),
        number("S", "importance_samples", 0, "importance samples"),
        number("NLL rb", "nll_rb", 2, "bound with c summed out (Rao-Blackwellised)", error=True),
        number("S rb", "rb_samples", 0, "its samples, each of which decodes every category"),
        number("ESS", "ess", 0, "effective sample size, median over x"),
        number("max share", "max_weight_share", 3, "largest weight's share, median over x"),
        number("k>.7", "pareto_high", 2, "share of x whose Pareto k-hat is above .7"),
        flag(
            "weights", "weights_trusted",
            "untrusted: the error of NLL and its closeness to -log p(x) are void, not the bound",
            "trusted", "untrusted", warning=True,
        ),
    ),
    needs=("ess", "nll_rb", "weights_trusted"),
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
        number("gap", "decomposition_gap", 3, "the terms' sum minus the ELBO", error=True),
        number("h(z)", "latent_entropy", 2, "entropy of the aggregated z; never rank by it"),
    ),
    needs=("A",),
    note="With one seed ± is the error over the draws of (x, z, c).",
)  # fmt: skip

CATEGORIES = Section(
    "categories",
    "categories and labels",
    (
        number("H(c)", "entropy", 2, "entropy of the aggregated categories"),
        number("exp H(c)", "effective_categories", 1, "effective number of them", mark=_side),
        number("I(c;x)", "category_information", 2, "what they say about x", error=True),
        beside(
            "purity (chance)", "purity", "purity_chance", 2,
            "soft, macro average over labels (its exact permutation null)", error=True,
        ),
        beside("micro", "purity_micro", "purity_micro_chance", 2, "soft, average over examples"),
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
            "macro average over labels (its exact permutation null)", error=True,
        ),
        number("NMI", "kmeans_nmi", 2, "normalised mutual information"),
        number("ARI", "kmeans_ari", 2, "adjusted Rand index"),
        number("accuracy", "kmeans_accuracy", 2, "Hungarian accuracy, where clusters are L"),
    ),
    needs=("kmeans_purity",),
)  # fmt: skip

GENERATION = Section(
    "generation",
    "what each category generates, as a classifier of real images sees it",
    (
        number("classifier", "classifier_accuracy", 3, "its own accuracy on real test images"),
        number(
            "purity", "generation_purity", 2,
            "chance that two samples of a category share a label", error=True,
        ),
        number("corrected", "generation_purity_corrected", 2, "that, corrected for chance"),
        number("majority", "generation_majority", 2, "share of a category's largest label"),
        number("I(c;y)", "generation_information", 2, "between category and generated label"),
        number("labels", "generation_labels", 1, "effective number of labels generated"),
        number("coverage", "generation_coverage", 1, "labels that hold half of some category"),
        number("diversity", "generation_diversity", 2, "within a category, real images being 1"),
        number("ceiling", "generation_ceiling", 2, "corrected purity of real images by category"),
        number("JS to real", "generation_consistency", 2, "of generated from assigned labels"),
        number("self", "generation_self_consistency", 2, "samples that return to their category"),
        number(
            "by label", "label_generation", 2,
            "label-conditional samples seen as their label", error=True,
        ),
    ),
    needs=("generation_purity", "generation_diversity", "label_generation"),
)  # fmt: skip

DENSITY = Section(
    "density",
    "the learned density on the line, where the true one is known",
    (
        number("LL", "log_likelihood", 3, "mean log-density of the test data", error=True),
        number("ceiling", "log_likelihood_ceiling", 3, "the truth's expected LL"),
        number("gap", "density_gap", 3, "the truth's LL minus LL, the same data", error=True),
        number("JS", "js", 4, "Jensen-Shannon divergence from the truth"),
        number("W1", "w1", 4, "Wasserstein distance from the truth"),
        number("valley", "valley", 3, "density between the modes, of its maximum"),
        number("left", "mass_left", 3, "mass around the left mode"),
        number("right", "mass_right", 3, "mass around the right mode"),
        number("score", "density_score", 2, "1 the truth, 0 one matched Gaussian"),
        flag(
            "recovered", "recovered", "both modes, the valley and a small JS, or its share of seeds"
        ),
        number("LL u", "log_likelihood_uniform", 3, ""),
        number("JS u", "js_uniform", 4, ""),
        number("W1 u", "w1_uniform", 4, ""),
        number("valley u", "valley_uniform", 3, ""),
        number("left u", "mass_left_uniform", 3, ""),
        number("right u", "mass_right_uniform", 3, ""),
        flag("recovered u", "recovered_uniform", ""),
        number("mode purity", "mode_purity", 3, "share of a category's samples in one mode"),
    ),
    needs=("js", "log_likelihood"),
    note="Columns marked u are of the model with uniform c in place of q(c).",
)

SECTIONS = (
    BOUNDS, LIKELIHOOD, DECOMPOSITION, CATEGORIES, PRIOR_SIDE, KMEANS, GENERATION, DENSITY,
)  # fmt: skip
"""All but ``labels``, in the report's order."""
