"""`python -m benchmarks.sklearn_fits`: scikit-learn and joblib on enact_pool, beside joblib's loky.

Both backends take turns, in this process, with warm rowers; their values must be the
same. At the end, one candidate of a grid search crashes.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from random import Random
from typing import Any

import joblib
import numpy as np
import sklearn
from attrs import frozen
from joblib import Parallel, delayed, parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, ShuffleSplit, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

import enact_pool.joblib

BACKENDS = ("enact", "loky")


@frozen
class _Row:
    title: str
    # Returns values, which must be the same from each backend.
    run: Callable[[], Any]


class Fragile(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """An estimator that crashes its process if its depth is 2."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth

    def fit(self, X: Any, y: Any) -> Fragile:
        """Fit the estimator."""
        if self.depth == 2:
            ctypes.string_at(0)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        """Return the same class for all rows."""
        return np.zeros(len(X), int)


def _double(x: int) -> int:
    return 2 * x


def _touched(array: Any) -> float:
    return float(array[::512].sum())


def _rows(quick: bool) -> list[_Row]:
    X, y = make_classification(200 if quick else 1000, random_state=0)
    grid = {"C": np.logspace(-2, 2, 3 if quick else 12)}
    megabytes, fits, tasks = (10, 8, 2000) if quick else (100, 50, 20_000)
    wide = np.random.default_rng(0).standard_normal((megabytes * 1250, 100))
    wide_y = (wide[:, 0] > 0).astype(int)
    splits = ShuffleSplit(fits, train_size=0.05, test_size=0.05, random_state=0)
    candidates = len(grid["C"])
    return [
        _Row(
            f"GridSearchCV, {candidates} x 5 fits of an SVC",
            lambda: GridSearchCV(SVC(), grid).fit(X, y).cv_results_["mean_test_score"],
        ),
        _Row(
            f"GridSearchCV, {candidates} x 5 fits of a logistic regression",
            lambda: (
                GridSearchCV(LogisticRegression(max_iter=1000), grid)
                .fit(X, y)
                .cv_results_["mean_test_score"]
            ),
        ),
        _Row(
            f"cross_val_score, {fits} fits on parts of {megabytes} MB",
            lambda: cross_val_score(GaussianNB(), wide, wide_y, cv=splits),
        ),
        _Row(
            f"Parallel, {fits} tasks that look at {megabytes} MB",
            lambda: Parallel()(delayed(_touched)(wide) for _ in range(fits)),
        ),
        _Row(
            f"Parallel, {tasks} tasks that do nothing",
            lambda: Parallel()(delayed(_double)(n) for n in range(tasks)),
        ),
        _Row("Parallel, 4 tasks that do nothing", lambda: Parallel()([delayed(_double)(1)] * 4)),
    ]


def _timed(row: _Row, backend: str, n_jobs: int) -> tuple[float, Any]:
    with parallel_config(backend=backend, n_jobs=n_jobs):
        begun = time.perf_counter()
        values = row.run()
        return time.perf_counter() - begun, values


def _measure(row: _Row, n_jobs: int, repeats: int) -> dict[str, float]:
    """The median seconds of each backend."""
    seconds: dict[str, list[float]] = {backend: [] for backend in BACKENDS}
    expected: Any = None
    for repeat in range(repeats + 1):
        for backend in Random(repeat).sample(BACKENDS, len(BACKENDS)):
            taken, values = _timed(row, backend, n_jobs)
            expected = values if expected is None else expected
            np.testing.assert_allclose(values, expected)
            if repeat:  # the first one starts rowers, which import modules
                seconds[backend].append(taken)
    return {backend: statistics.median(taken) for backend, taken in seconds.items()}


def _crash(backend: str, n_jobs: int) -> str:
    """Return the result of a grid search of which one candidate crashes."""
    X, y = make_classification(100, random_state=0)
    search = GridSearchCV(Fragile(), {"depth": [1, 2, 3]}, cv=3)
    with parallel_config(backend=backend, n_jobs=n_jobs), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scores = search.fit(X, y).cv_results_["mean_test_score"]
        except Exception as error:
            return f"raises {type(error).__name__}"
    return f"mean_test_score {scores.round(2).tolist()}"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sklearn_fits", description=__doc__)
    parser.add_argument("--rowers", type=int, default=2, help="of each backend (default: 2)")
    parser.add_argument("--repeats", type=int, help="of each row (default: 7; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    options = parser.parse_args()
    repeats = options.repeats or (1 if options.quick else 7)
    enact_pool.joblib.register()
    print(
        f"scikit-learn {sklearn.__version__}, joblib {joblib.__version__}, "
        f"{options.rowers} rowers, medians of {repeats}\n"
    )
    print("| ms | enact | loky | enact / loky |\n| --- | --- | --- | --- |", flush=True)
    for row in _rows(options.quick):
        took = _measure(row, options.rowers, repeats)
        cells = " | ".join(f"{took[backend] * 1e3:.1f}" for backend in BACKENDS)
        print(f"| {row.title} | {cells} | {took['enact'] / took['loky']:.2f} |", flush=True)
    print("\nGridSearchCV of 3 candidates, the second of which segfaults in all its fits:")
    for backend in BACKENDS:
        print(f"{backend}: {_crash(backend, options.rowers)}", flush=True)
    enact_pool.joblib.shutdown()
    if _crash("enact", options.rowers) != "mean_test_score [0.5, nan, 0.5]":
        sys.exit("a crash did not have its error_score")


if __name__ == "__main__":
    main()
