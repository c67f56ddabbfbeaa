"""The checks of a dataset: sound arrays, disjoint splits, stable bytes, no labels in x."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from bench.data.base import Dataset, Split, Splits
from bench.data.fresh import splits_fingerprint
from bench.data.loading import load_splits
from bench.errors import DataError, UsageError
from bench.registry import Registry
from bench.testing.finding import Breach, Case, Finding, Unmet, describe
from bench.testing.leaks import check_labels, check_overlap
from bench.testing.state import Untouched

FRESH_SECONDS = 600


class DatasetSubject:
    """A dataset and where its data are; it is loaded once.

    Args:
        dataset: the plugin.
        roots: data folders.
        plugins: ``--plugin`` files with which another process finds it.
    """

    def __init__(self, dataset: Dataset, roots: Sequence[Path], plugins: Sequence[Path]) -> None:
        self.dataset, self.roots, self.plugins = dataset, list(roots), list(plugins)
        self.moved = Untouched(("numpy",))

    @cached_property
    def splits(self) -> Splits:
        """What the plugin loads."""
        with self.moved:
            return load_splits(self.dataset, self.roots)

    @cached_property
    def loaded(self) -> Splits:
        """The splits, for a check that cannot be made without them."""
        try:
            return self.splits
        except Exception as error:  # a plugin may raise anything; its own check tells
            raise Unmet("the data do not load") from error

    @property
    def parts(self) -> dict[str, Split]:
        """The splits by name."""
        splits = self.loaded
        return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def dataset_cases(
    dataset: Dataset, roots: Sequence[Path], plugins: Sequence[Path] = ()
) -> list[Case]:
    """The checks of a dataset.

    Args:
        dataset: the plugin.
        roots: data folders, all of them read.
        plugins: the ``--plugin`` files that another process needs to find it.
    """
    subject = DatasetSubject(dataset, roots, plugins)
    name = dataset.name
    return [
        Case(name, "loads", "loads, with sound arrays", lambda: _loads(subject)),
        Case(name, "missing", "says what is missing", lambda: _missing(subject), MISSING),
        Case(name, "disjoint", "splits are disjoint", lambda: check_overlap(subject.parts)),
        Case(name, "labels", "labels are not in x", lambda: check_labels(subject.parts)),
        Case(
            name,
            "random_state",
            "global random state untouched",
            lambda: _random_state(subject),
            "Draw from a generator of your own with a fixed seed: np.random.RandomState(777).",
        ),
        Case(
            name,
            "fingerprint",
            "fingerprint is stable",
            lambda: _stable(subject),
            "Cut and order the splits by fixed seeds; iterate over no set, and sort file names.",
        ),
    ]


MISSING = (
    "Raise DataError where files are missing (self.locate(roots) does), and set embedded = True "
    "where none are needed."
)


def check_dataset(
    dataset: Dataset, roots: Sequence[Path], plugins: Sequence[Path] = ()
) -> list[Finding]:
    """Check a dataset; the arguments are those of :func:`dataset_cases`."""
    return [case.run() for case in dataset_cases(dataset, roots, plugins)]


def _loads(subject: DatasetSubject) -> None:
    try:
        splits = subject.splits
    except UsageError as error:
        raise Breach("data that load", str(error)) from error
    for name, part in subject.parts.items():
        if len(part.x) < 2:
            raise Breach(f"at least 2 rows in {name}", f"{len(part.x)}")
    if not splits.label_names:
        raise Breach("a name for each label", "no label_names")


def _missing(subject: DatasetSubject) -> None:
    dataset = subject.dataset
    with tempfile.TemporaryDirectory() as folder:
        roots = [] if dataset.embedded else [Path(folder)]
        reason = dataset.missing(roots)
        if dataset.embedded:
            if reason is not None:
                raise Breach("an embedded dataset that needs no files", reason)
            return
        try:
            dataset.load(roots)
        except DataError as error:
            if dataset.name not in str(error):
                raise Breach(f"a message that names {dataset.name}", str(error)) from error
            return
        except Exception as error:
            raise Breach("a DataError from an empty folder", describe(error)) from error
    raise Breach("a DataError from an empty folder", "data that load from it")


def _random_state(subject: DatasetSubject) -> None:
    _ = subject.loaded
    subject.moved.check("loading")


def _stable(subject: DatasetSubject) -> str | None:
    first = splits_fingerprint(subject.loaded)
    dataset = subject.dataset
    roots = [] if dataset.embedded else subject.roots
    known = Registry(subject.plugins)
    try:
        registered = known.load("dataset", dataset.name) is type(dataset)
    except UsageError:
        registered = False
    if not registered:
        second, where = splits_fingerprint(load_splits(dataset, roots)), "in the same process"
    else:
        second, where = _elsewhere(subject, roots), "in another process"
    if first != second:
        raise Breach(f"the same data and labels when loaded again {where} ({first})", second)
    return None if registered else "not registered, so loaded again in the same process only"


def _elsewhere(subject: DatasetSubject, roots: Sequence[Path]) -> str:
    wanted = {
        "name": subject.dataset.name,
        "plugins": [str(file) for file in subject.plugins],
        "roots": [str(folder) for folder in roots],
    }
    ended = subprocess.run(
        [sys.executable, "-m", "bench.data.fresh", json.dumps(wanted)],
        capture_output=True,
        text=True,
        timeout=FRESH_SECONDS,
        # Another order of sets and dictionaries of strings than here.
        env={**os.environ, "PYTHONHASHSEED": "777"},
    )
    if ended.returncode != 0:
        said = (ended.stderr.strip() or "nothing").splitlines()[-1]
        raise Breach("the same data when loaded in another process", said)
    return ended.stdout.strip()
