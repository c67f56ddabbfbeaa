"""What a plugin must pass: the suite that ``bench check`` runs and that third parties run too.

On the command line::

    bench check prior my_prior [--plugin my_prior.py]

Under pytest, with the plugin named there (pytest 8 or newer has to be installed)::

    pytest --pyargs bench.testing.suite --bench prior:my_prior [--bench-plugin my_prior.py]

In a test file of your own, which gives one test for each pair and check::

    from bench.testing import conformance

    test_conformance = conformance("prior", "my_prior")

In Python, as a list of findings, each with what was expected, what was found and what to do::

    from bench.registry import Registry
    from bench.testing import check_model_plugin

    [finding.detail for finding in check_model_plugin("prior", "my_prior", Registry()) if
     finding.failed]

A prior is checked with every posterior that it goes with, a posterior with every prior, at sizes
where each check takes well under a second: one latent dimension where quadrature gives the
answer, two elsewhere, and those of a real cell (D = 40, 28x28 pixels) where a decoder that ignores
its latents does. Everything is seeded. Where chance remains, a check fails for what would come by
chance less than once in a million (5 standard errors, p < 1e-6). What the checks ask is in
``bench.testing.CHECKS``; ``full=True`` (``--full``, ``--bench-full``) uses real sizes and the real
compiler where that is slow.
"""

from bench.testing.conformance import cases, conformance
from bench.testing.datasets import check_dataset
from bench.testing.finding import Case, Finding
from bench.testing.pairs import CHECKS, check_model_plugin
from bench.testing.subject import small_model

__all__ = [
    "CHECKS",
    "Case",
    "Finding",
    "cases",
    "check_dataset",
    "check_model_plugin",
    "conformance",
    "small_model",
]
