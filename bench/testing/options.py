"""Other sizes, other likelihoods, other options: what a plan may ask of a plugin."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from bench.bounds import elbo_enumerated
from bench.model import Model
from bench.spaces import Choice
from bench.spec import Spec
from bench.testing.finding import Breach, describe
from bench.testing.subject import Subject, inputs, seeded


def check_sizes(subject: Subject) -> None:
    """Single components, categories and dimensions, and data without bounds, make models too."""
    one = subject.spec(latent_dim=1, event_shape=(1,), components=1, categories=1)
    odd = subject.spec(latent_dim=3, event_shape=(2, 2), components=5, categories=2, hidden=7)
    free = subject.spec(event_shape=(2,), bounds=None)
    for likelihood, spec in (("bernoulli", one), ("bernoulli", odd), ("gaussian", free)):
        sizes = (
            f"D = {spec.latent_dim}, K = {spec.categories}, {spec.components} components, "
            f"events {spec.event_shape}, bounds {spec.bounds}"
        )
        try:
            model = subject.model(spec, likelihood=likelihood)
            _check_finite(model, sizes)
        except Breach:
            raise
        except Exception as error:
            raise Breach(f"a model with {sizes}", describe(error)) from error
    _check_components(subject)


def _check_components(subject: Subject) -> None:
    """``mixture`` says whether ``spec.components`` is read."""
    few, many = (subject.model(subject.spec(components=count)) for count in (2, 7))
    shapes = [
        {name: value.shape for name, value in model.prior.state_dict().items()}
        for model in (few, many)
    ]
    differ = shapes[0] != shapes[1]
    if differ and not subject.prior.mixture:
        raise Breach(
            "a prior that does not read spec.components, since mixture is False",
            "state of another shape with other components",
            "Set mixture = True in the class, so that a run varies the components.",
        )
    if not differ and subject.prior.mixture:
        with torch.no_grad():
            draw = few.joint_prior().sample((5,), seeded())
            densities = [model.joint_prior().log_prob(draw) for model in (few, many)]
        if torch.equal(*densities):
            raise Breach(
                "a prior that reads spec.components, since mixture is True",
                "the same density with 2 and 7 components",
                "Remove mixture = True, so that a run does not repeat the same cell.",
            )


def check_options(subject: Subject) -> None:
    """Both ends of every range in ``search_space`` make a model."""
    for kind, plugin in (("prior", subject.prior), ("posterior", subject.posterior)):
        for option, value in _ends(plugin.search_space):
            what = f"{kind} option {option}={value!r}, declared in search_space"
            try:
                model = subject.model(options={kind: {option: value}})
                _check_finite(model, what)
            except Breach:
                raise
            except Exception as error:
                raise Breach(f"{what}, to make a model", describe(error)) from error


def _ends(space: object) -> Iterator[tuple[str, object]]:
    assert isinstance(space, dict)
    for option, span in space.items():
        values = span.options if isinstance(span, Choice) else (span.low, span.high)
        yield from ((option, value) for value in values)


def _check_finite(model: Model, what: str) -> None:
    spec: Spec = model.spec
    x = inputs(spec)[:3]
    x = x.round() if model.likelihood == "bernoulli" else x
    with torch.no_grad():
        bounds = model.terms(x, model.noise((3,), seeded())).elbo()
        exact = elbo_enumerated(model, x, seeded()).elbo()
    if not (bool(bounds.isfinite().all()) and bool(exact.isfinite().all())):
        raise Breach(f"a finite bound with {what}", f"{bounds.tolist()} and {exact.tolist()}")
