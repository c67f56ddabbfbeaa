"""What a search has done, as files: a table of its trials, and pictures of how it went."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.spaces import Choice, Range
from bench.tuning.records import TrialRecord, TuningResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bars", "history", "importances", "slices", "study_files"]

# Okabe and Ito's palette, told apart by shape as well.
COLOURS = {"complete": "#0072B2", "pruned": "#E69F00"}
MARKERS = {"complete": "o", "pruned": "x"}
LINE = "#009E73"
AGAIN = "#CC79A7"
REPEATED = "finalist again"
COLUMNS = 3  # slices in a row
LEAST = 4  # complete trials, below which importances say nothing


def study_files(result: TuningResult, space: Mapping[str, Range]) -> dict[str, bytes]:
    """The files of a search by their names, to be put into its cell's folder."""
    weights = importances(result, space)
    files = {
        "trials.csv": _trials(result).encode(),
        "tuning_history.png": _png(history(result)),
        "tuning_slices.png": _png(slices(result, space)),
    }
    if weights:
        lines = ["setting,importance", *(f"{name},{weight}" for name, weight in weights.items())]
        files["tuning_importances.csv"] = ("\n".join(lines) + "\n").encode()
        files["tuning_importances.png"] = _png(bars(weights))
    return files


def importances(result: TuningResult, space: Mapping[str, Range]) -> dict[str, float]:
    """How much of the variation of the bound each setting explains, largest first; they sum to 1.

    It is fANOVA (Hutter, Hoos and Leyton-Brown, An Efficient Approach for Assessing Hyperparameter
    Importance, ICML 2014) on the trials that ran to their end; empty where these are too few.
    """
    import optuna
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    from bench.tuning.study import distributions

    done = [t for t in result.trials if t.state == "complete" and t.value is not None]
    if len(done) < LEAST or len({trial.value for trial in done}) < 2:
        return {}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    ranges = distributions(space)
    for one in done:
        made = optuna.trial.create_trial(params=one.params, distributions=ranges, value=one.value)
        study.add_trial(made)
    evaluator = FanovaImportanceEvaluator(seed=0)
    return dict(get_param_importances(study, evaluator=evaluator))


def _trials(result: TuningResult) -> str:
    names = list(dict.fromkeys(name for trial in result.trials for name in trial.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "validation_bound", "epochs", "repeats", *names, "reason"])
    for trial in [*result.trials, *result.repeats]:
        value = "" if trial.value is None else repr(trial.value)
        again = "" if trial.repeats is None else trial.repeats
        params = [trial.params.get(name, "") for name in names]
        what = [trial.number, trial.state, value, trial.epochs, again]
        writer.writerow([*what, *params, trial.reason])
    return text.getvalue()


def history(result: TuningResult) -> Figure:
    """The bound (nats) of every trial in their order, and the best so far."""
    figure, (axes,) = _figure(1, 1)
    best, steps = -math.inf, list[tuple[int, float]]()
    for trial in result.trials:
        best = max(best, -math.inf if trial.value is None else trial.value)
        if math.isfinite(best):
            steps.append((trial.number, best))
    axes.plot(*zip(*steps, strict=True), color=LINE, drawstyle="steps-post", label="best so far")
    _points(axes, result, lambda trial: trial.number)
    if result.repeats:
        axes.axvline(result.repeats[0].number - 0.5, color="0.6", linewidth=0.8, linestyle=":")
    every = [*result.trials, *result.repeats]
    failed = [trial.number for trial in every if trial.state == "failed"]
    for number in failed:
        axes.axvline(number, color="0.8", linewidth=0.8, zorder=0, label="failed")
    axes.set_xlabel("trial")
    axes.set_ylabel("validation bound (nats)")
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    axes.legend(once.values(), once.keys(), frameon=False)
    return figure


def slices(result: TuningResult, space: Mapping[str, Range]) -> Figure:
    """The bound (nats) of the trials over each setting of the space."""
    names = sorted(space)
    columns = min(COLUMNS, len(names))
    figure, panels = _figure(-(-len(names) // columns), columns)
    for axes, name in zip(panels, names, strict=False):
        values = space[name]
        axes.set_xlabel(name)
        if isinstance(values, Choice):
            places = {option: place for place, option in enumerate(values.options)}
            axes.set_xticks(range(len(places)), [str(option) for option in places])
            _points(axes, result, lambda trial, n=name, p=places: p[trial.params[n]])
        else:
            if values.log:
                _logarithmic(axes, values.high / values.low)
            _points(axes, result, lambda trial, n=name: trial.params[n])
    for axes in panels[::columns]:
        axes.set_ylabel("validation bound (nats)")
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    panels[0].legend(frameon=False)
    return figure


def bars(weights: Mapping[str, float]) -> Figure:
    """The importance of each setting."""
    figure, (axes,) = _figure(1, 1)
    axes.barh(list(weights), list(weights.values()), color=COLOURS["complete"])
    axes.invert_yaxis()
    axes.set_xlabel("share of the bound's variance (fANOVA)")
    return figure


def _logarithmic(axes: Axes, span: float) -> None:
    """An axis whose numbers do not overlap; ``span`` is how many times its end is its beginning."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    steps = (1.0, 2.0, 5.0) if span <= 20 else (1.0, 3.0) if span <= 200 else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _points(axes: Axes, result: TuningResult, place: Any) -> None:
    for state, colour in COLOURS.items():
        trials = [t for t in result.trials if t.state == state and t.value is not None]
        if trials:
            x, y = [place(trial) for trial in trials], [_value(trial) for trial in trials]
            axes.scatter(x, y, s=22, color=colour, marker=MARKERS[state], label=state)
    again = [trial for trial in result.repeats if trial.value is not None]
    if again:
        x, y = [place(trial) for trial in again], [_value(trial) for trial in again]
        axes.scatter(x, y, s=26, facecolors="none", edgecolors=AGAIN, marker="D", label=REPEATED)


def _value(trial: TrialRecord) -> float:
    assert trial.value is not None
    return trial.value


def _figure(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = max(6.0, 3.2 * columns), 3.6 if rows == 1 else 2.8 * rows
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharey=columns > 1).flat)


def _png(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()
