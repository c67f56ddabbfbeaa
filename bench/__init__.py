"""Benchmark variational autoencoders with mixture priors.

Priors are crossed with posterior factorizations over datasets; every reported number is a
valid bound or a metric with its standard error and its chance level.
"""

__version__ = "0.1.0"
