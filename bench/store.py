"""Results on disk: a folder for every cell, written last of all its row; results.csv from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bench.errors import CannotWrite, Interrupted, UsageError
from bench.files import read_json, sweep, write_json, write_text
from bench.grid import Cell
from bench.model_files import facts_of
from bench.results_file import ResultsFile, place
from bench.results_file import Row as Row
from bench.tensors import Refused

COLUMNS = (
    "cell", "dataset", "prior", "posterior", "model", "components", "seed", "status", "reason",
    "epochs", "seconds", "parameters", "device", "nelbo", "nelbo_se", "nll", "nll_se",
    "importance_samples",
    "reconstruction", "kl_z", "kl_c", "entropy", "entropy_max", "effective_categories",
    "categories_used", "category_information", "assignment", "purity", "purity_se",
    "purity_chance", "purity_corrected", "nmi", "ari", "active_units", "collapsed",
    "setting", "dataset_fingerprint",
    "evaluation_seconds", "evaluation_chunk", "threads", "products", "engine_mode", "replicas",
    "tuned",
    # how far the bounds can be trusted
    "nelbo_mc_se", "nll_mc_se", "ess", "max_weight_share", "pareto_high", "weights_trusted",
    "nll_rb", "nll_rb_se", "nll_rb_mc_se", "rb_samples", "rb_ess", "rb_max_weight_share",
    "rb_pareto_high", "rb_weights_trusted",
    # the same bounds at fewer samples
    "nll_1", "nll_10", "nll_100", "nll_1000", "nll_rb_1", "nll_rb_10", "nll_rb_100",
    # by how much the relaxed objective of training lies below the bound
    "relaxed_gap", "relaxed_gap_se", "relaxed_temperature",
    # the decomposition of the ELBO
    "decomposition_points", "A", "A_se", "B1", "B1_se", "B2", "C1", "C1_se", "C2", "T1", "T1_se",
    "I_z_c", "I_z_c_se", "I_zc_x", "I_zc_x_se", "I_ceiling", "at_ceiling", "decomposition_gap",
    "decomposition_gap_se", "latent_entropy", "latent_entropy_se",
    # categories, both sides
    "entropy_se", "categories_present", "mean_conditional_entropy", "category_information_se",
    "purity_micro", "purity_micro_se", "purity_micro_chance", "purity_micro_corrected",
    "purity_hard", "purity_hard_chance", "cluster_purity", "cluster_purity_chance",
    "homogeneity", "completeness", "nmi_hard", "ami", "label_overlap",
    "top_distinct", "top_marked", "top_mass", "accuracy_matched", "accuracy_majority",
    "prior_entropy", "prior_effective_categories",
    "prior_category_information", "prior_purity", "prior_purity_se", "prior_purity_chance",
    "prior_purity_corrected", "prior_nmi", "prior_ari", "disagreement", "kmeans_k",
    "kmeans_purity", "kmeans_purity_chance", "kmeans_nmi", "kmeans_ari", "kmeans_accuracy",
    # generation
    "classifier_accuracy", "classifier_accuracy_drawn", "marginal_labels", "marginal_diversity",
    "generation_purity", "generation_purity_se", "generation_purity_corrected",
    "generation_purity_corrected_se", "generation_majority", "generation_majority_chance",
    "generation_information",
    "generation_labels", "generation_coverage", "generation_diversity", "generation_ceiling",
    "generation_consistency", "generation_self_consistency", "label_generation",
    "label_generation_se", "label_generation_chance",
    # a density on the line that is known
    "log_likelihood", "log_likelihood_se", "log_likelihood_mc_se", "log_likelihood_ceiling",
    "density_gap", "density_gap_se", "js", "js_mc_se", "w1", "valley", "mass_left", "mass_right",
    "density_score", "recovered", "log_likelihood_uniform", "js_uniform", "w1_uniform",
    "valley_uniform", "mass_left_uniform", "mass_right_uniform", "recovered_uniform", "mode_purity",
    "importance_check", "importance_check_se",
)  # fmt: skip
"""The columns of results.csv; a blank means that the column does not apply."""

COLLAPSED_BELOW = 0.1
"""A cell whose categories carry less than this about x (nats) is marked collapsed."""

TRAINED = ("model.pt", "history.csv", "training.json")
"""The files that training leaves in a cell's folder."""


class Store:
    """The folder of ``--out``.

    A cell counts as finished only when its folder holds ``row.json``, which is written last.
    Failures are recorded in the same way but are tried again by the next run.

    Raises:
        UsageError: the folder cannot be written.
    """

    def __init__(self, out: Path, *, create: bool = True) -> None:
        self.out = out
        self._results = ResultsFile(self, COLUMNS)
        if create:
            self._make_writable()

    def _make_writable(self) -> None:
        try:
            (self.out / ".locks").mkdir(parents=True, exist_ok=True)
            with self.alone():
                for folder in (self.out / "cells", self.out / "trained"):
                    folder.mkdir(exist_ok=True)
                    write_text(folder / ".writable", "")
                    (folder / ".writable").unlink()
        except OSError as error:
            cause = error.__cause__ if isinstance(error, CannotWrite) else error
            raise UsageError(
                f"--out {self.out} cannot be written ({getattr(cause, 'strerror', cause)}). "
                "Expected a folder on a disk with room that this user may write; choose another "
                "with --out DIR."
            ) from error

    def folder(self, cell_id: str) -> Path:
        """Where everything about one cell lies."""
        return self.out / "cells" / cell_id

    def row(self, cell_id: str) -> Row | None:
        """The cell's row, or None if it has not ended yet.

        Raises:
            UsageError: it is there but cannot be read.
        """
        path = self.folder(cell_id) / "row.json"
        try:
            found: Row = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
            return None
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
        # A row of another cell is no row: somebody has copied a folder.
        mine = isinstance(found, dict) and found.get("cell") == cell_id
        return found if mine and "status" in found else None

    def stamp(self, cell_id: str) -> tuple[int, int] | None:
        """What tells the cell's row from any that is written later; None where there is none."""
        try:
            found = (self.folder(cell_id) / "row.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    @contextmanager
    def hold(self, cell: Cell, stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Keep the cell to this process; waits while another run on this store has it.

        Raises:
            Interrupted: ``stop`` answered True while waiting.
        """
        path = self.out / ".locks" / f"{cell.id}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        while True:
            try:
                lock.acquire(timeout=1.0)
                break
            except Timeout:
                if stop():
                    raise Interrupted("stopped while another run had the cell") from None
        try:
            yield
        finally:
            lock.release()

    def trained(self, cell: Cell, notice: Callable[[str], None] = lambda _: None) -> Path | None:
        """The folder of a cell whose trained model serves this one too, if there is such a one.

        Cells that differ only in how they are evaluated share their training. A model that was
        damaged or changed, or is of another training, is none: ``notice`` is told.
        """
        try:
            owner = (self.out / "trained" / cell.training_id).read_text().strip()
        except (OSError, UnicodeDecodeError):
            return None
        folder = self.folder(owner)
        if not owner.isalnum() or not all((folder / name).is_file() for name in TRAINED):
            return None
        try:
            facts_of(folder, cell.training_id)
        except Refused as error:
            notice(f"trains anew: {error}")
            return None
        return folder

    def keep_trained(self, cell: Cell) -> None:
        """Offer the cell's trained model, all of whose files are written, to ``trained``."""
        with self.alone():
            write_text(self.out / "trained" / cell.training_id, cell.id + "\n")

    def labels(self, cell_id: str) -> list[Row]:
        """The per-label purity of a cell; empty where it has none."""
        found = read_json(self.folder(cell_id) / "purity.json")
        return found if isinstance(found, list) else []

    def finished(self, cell: Cell) -> bool:
        """Whether the cell need not be trained again."""
        row = self.row(cell.id)
        return row is not None and row["status"] == "ok"

    def finish(self, cell: Cell, row: Mapping[str, Any]) -> None:
        """Record how a cell ended, then drop the training state that it no longer needs."""
        write_json(self.folder(cell.id) / "row.json", {**names_of(cell), **row})
        if row["status"] == "ok":
            (self.folder(cell.id) / "checkpoint.pt").unlink(missing_ok=True)

    def skip(self, cells: Iterable[Cell]) -> None:
        """Record the cells that have no meaning, with their reasons."""
        with self.alone():
            known = self.skipped()
            for cell in cells:  # a pair is skipped whatever its settings: one row, the last run's
                pair = f"{cell.dataset} {cell.prior} {cell.posterior}"
                known[pair] = {**names_of(cell), "status": "skipped", "reason": cell.reason}
            if known:
                write_json(self.out / "skipped.json", known)

    def skipped(self) -> dict[str, Row]:
        """The rows of cells that have no meaning, by what they are."""
        known = read_json(self.out / "skipped.json")
        if not isinstance(known, dict) or not all(isinstance(row, dict) for row in known.values()):
            return {}  # made anew by the next run
        return known

    def forget(self, cell: Cell) -> None:
        """Remove all that is known of a cell (``--fresh``)."""
        shutil.rmtree(self.folder(cell.id), ignore_errors=True)

    def rows(self) -> list[Row]:
        """Every row of the store, finished, failed and skipped."""
        found = []
        for folder in sorted((self.out / "cells").glob("*/row.json")):
            row = self.row(folder.parent.name)
            if row is not None:
                found.append(row)
        found.extend(self.skipped().values())
        return sorted(found, key=place)

    def write_results(self) -> None:
        """Write results.csv anew from the cells' rows, atomically."""
        self._results.write()

    def refresh_results(self) -> None:
        """Write results.csv anew if that costs little: the rows themselves are on disk."""
        self._results.refresh()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One process at a time writes what all share: a slow one would undo a quick one's."""
        with FileLock(self.out / ".locks" / "results.lock"):
            for folder in (self.out, self.out / "cells", self.out / "trained"):
                sweep(folder)
            yield


def names_of(cell: Cell) -> Row:
    """The columns that say which cell it is."""
    return {
        "cell": cell.id,
        "dataset": cell.dataset,
        "prior": cell.prior,
        "posterior": cell.posterior,
        "model": cell.model,
        "components": cell.components,
        "seed": cell.seed,
        "setting": cell.setting,
        "dataset_fingerprint": cell.settings["fingerprint"],
    }
