"""The sections of the report about what a model generates, each column with its meaning."""

from __future__ import annotations

from bench.report.columns import Section, beside, check, flag, noise, number

__all__ = ["DENSITY", "GENERATION"]

GENERATION = Section(
    "generation",
    "what each category generates, as a classifier of real images sees it",
    (
        beside(
            "classifier", "classifier_accuracy", "classifier_accuracy_drawn", 3,
            "its own accuracy on real test images, in grey where there are such (drawn from them)",
        ),
        number(
            "purity", "generation_purity", 2,
            "chance that two samples of a category share a label", error=True,
        ),
        beside(
            "corrected", "generation_purity_corrected", "generation_ceiling", 2,
            "that, corrected for chance (of real images by category; categories sharper than real "
            "data can pass it)", error=True,
        ),
        beside(
            "majority", "generation_majority", "generation_majority_chance", 2,
            "share of a category's largest label (by chance)",
        ),
        number("I(c;y)", "generation_information", 2, "between category and generated label"),
        number("labels", "generation_labels", 1, "effective number of labels generated"),
        number("coverage", "generation_coverage", 1, "labels that hold half of some category"),
        number("diversity", "generation_diversity", 2, "within a category, real images being 1"),
        number("all labels", "marginal_labels", 1, "labels, of samples of the whole model"),
        number(
            "all diversity", "marginal_diversity", 2,
            "diversity of samples of the whole model, all real images being 1",
        ),
        number("JS to real", "generation_consistency", 2, "of generated from assigned labels"),
        number("self", "generation_self_consistency", 2, "samples that return to their category"),
        beside(
            "by label", "label_generation", "label_generation_chance", 2,
            "label-conditional samples seen as their label (by chance)", error=True,
        ),
    ),
    needs=(
        "generation_purity", "generation_diversity", "marginal_labels", "marginal_diversity",
        "label_generation",
    ),
)  # fmt: skip

DENSITY = Section(
    "density",
    "the learned density on the line, where the true one is known",
    (
        number("LL", "log_likelihood", 3, "mean log-density of the test data", error=True),
        noise("LL MC", "log_likelihood", 4, "its Monte Carlo error"),
        number("ceiling", "log_likelihood_ceiling", 3, "the truth's expected LL"),
        number("gap", "density_gap", 3, "the truth's LL minus LL, the same data", error=True),
        number("JS", "js", 4, "Jensen-Shannon divergence from the truth"),
        noise("JS MC", "js", 4, "its Monte Carlo error"),
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
        check(
            "check", "importance_check", 4,
            "LL of the model that was trained, plus NLL, on the same test data ± its standard "
            "error: 0 within 3 of them, or one of the two is wrong",
        ),
    ),
    needs=("js", "log_likelihood"),
    note="u: c ~ p(c), the model that was trained; without u: c as the training data use it.",
)  # fmt: skip
