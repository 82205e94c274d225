"""Choosing networks with scikit-learn: every kind of validation, search, ensembles, and choice by two metrics.

    python examples/model_selection.py        about a minute; pictures to ./out/model_selection

Real data: breast cancers, irises and digits of scikit-learn, cars of 1970 to 1982 of mlxtend.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fastdl import nn
from fastdl.data import from_installed
from fastdl.sklearn import NeuralNetClassifier, NeuralNetRegressor
from fastdl.validation import AnchoredWindowSplit, SlidingWindowSplit, choose, mapk
from fastdl.viz import plot_learning_curve, plot_validation_curve

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # a fixed number of epochs is what is wanted here


def classifier(hidden=(32,), **options):
    options = {"learning_rate_init": 0.01, "max_iter": 20, "tol": 0.0, "random_state": 0, **options}
    return make_pipeline(StandardScaler(), NeuralNetClassifier(hidden_layer_sizes=hidden, **options))


def told(name, scores):
    print(f"  {name:44} {np.mean(scores):.3f} +- {np.std(scores):.3f}  ({len(scores)} folds)")
    return float(np.mean(scores))


def validations() -> dict[str, float]:
    """One network under the splits that fit the data."""
    found = {}
    cancer, iris, digits = (from_installed(n) for n in ("breast_cancer", "iris", "digits_8x8"))
    print("breast cancer, AUC")
    for name, split in (("5-fold", KFold(5, shuffle=True, random_state=0)),
                        ("stratified 5-fold", StratifiedKFold(5, shuffle=True, random_state=0))):  # fmt: skip
        found[name] = told(name, cross_val_score(classifier(), cancer["data"], cancer["target"], cv=split,
                                                 scoring="roc_auc"))  # fmt: skip
    print("irises, accuracy")
    loo = cross_val_score(classifier((8,), max_iter=150), iris["data"], iris["target"], cv=LeaveOneOut())
    found["leave-one-out"] = told("leave one out", loo)
    print("digits, accuracy: unseen digits of known writers, and of unknown ones")
    x, y = digits["data"], digits["target"]
    writers = np.arange(len(y)) * 13 // len(y)  # 13 people wrote one after another
    for name, split, groups in (("shuffled 5-fold", KFold(5, shuffle=True, random_state=0), None),
                                ("group 5-fold", GroupKFold(5), writers),
                                ("leave one group out", LeaveOneGroupOut(), writers)):  # fmt: skip
        found[name] = told(name, cross_val_score(classifier(), x, y, cv=split, groups=groups))
    print("cars by year, mean absolute error in miles a gallon: the future from the past")
    x, y = cars()
    net = NeuralNetRegressor(
        hidden_layer_sizes=(16,), learning_rate_init=0.01, batch_size=32, max_iter=60, random_state=0
    )
    network = TransformedTargetRegressor(make_pipeline(StandardScaler(), net), transformer=StandardScaler())
    for name, split in (("time series", TimeSeriesSplit(5)), ("sliding window", SlidingWindowSplit(150, 40)),
                        ("anchored window", AnchoredWindowSplit(150, 40)),
                        ("anchored window, a gap of 20", AnchoredWindowSplit(150, 40, gap=20))):  # fmt: skip
        scores = cross_val_score(network, x, y, cv=split, scoring="neg_mean_absolute_error")
        found[name] = told(name, -scores)
    return found


def cars():
    """Cylinders, displacement, horsepower, weight, acceleration, origin -> miles a gallon, ordered by model year."""
    table = from_installed("auto_mpg")
    order = np.argsort(table["year"], kind="stable")
    return table["data"][order], table["target"][order]


def ensembles() -> dict[str, float]:
    """Networks together, on digits that none of them saw."""
    digits = from_installed("digits_8x8")
    x, x_test, y, y_test = train_test_split(digits["data"], digits["target"], test_size=0.4, random_state=0)
    single = NeuralNetClassifier(nn.Linear, learning_rate_init=0.05, max_iter=15, tol=0.0, random_state=0)
    members = {f"network {i}": classifier((24,), max_iter=12, random_state=i) for i in range(3)}
    models = {
        **members,
        "voting": VotingClassifier(list(members.items()), voting="soft"),
        "bagging": BaggingClassifier(classifier((24,), max_iter=12), n_estimators=8, random_state=0),
        "boosting (AdaBoost of linear layers)": AdaBoostClassifier(single, n_estimators=8, random_state=0),
        "stacking": StackingClassifier(list(members.items()), LogisticRegression(max_iter=300), cv=3),
    }
    print("ensembles on 719 unseen digits, accuracy")
    found = {}
    for name, model in models.items():
        start = time.perf_counter()
        found[name] = model.fit(x, y).score(x_test, y_test)
        print(f"  {name:44} {found[name]:.3f}  {time.perf_counter() - start:5.1f} s")
    return found


def search() -> str:
    """A grid, then the best network among those that are small enough."""
    cancer = from_installed("breast_cancer")
    x, y = cancer["data"], cancer["target"]
    grid = {"neuralnetclassifier__hidden_layer_sizes": [(4,), (16,), (64,)], "neuralnetclassifier__alpha": [1e-4, 1e-2]}
    searched = GridSearchCV(classifier(), grid, cv=3, scoring="roc_auc").fit(x, y)
    best = {k.partition("__")[2]: v for k, v in searched.best_params_.items()}
    print(f"grid search: AUC {searched.best_score_:.4f} with {best}")
    candidates = {}
    for params, auc in zip(searched.cv_results_["params"], searched.cv_results_["mean_test_score"], strict=True):
        (hidden,) = params["neuralnetclassifier__hidden_layer_sizes"]
        weights = 30 * hidden + hidden + 2 * hidden + 2
        candidates[f"{hidden} units, alpha {params['neuralnetclassifier__alpha']:g}"] = {"auc": auc, "weights": weights}
    chosen = choose(candidates, optimize="auc", satisfice={"weights": ("<=", 600)})
    print(f"best AUC (optimizing) with at most 600 weights (satisficing): {chosen}")
    return chosen


def ranking() -> float:
    """map@3: how high the right digit stands among three guesses."""
    digits = from_installed("digits_8x8")
    probabilities = cross_val_predict(classifier(), digits["data"], digits["target"], cv=3, method="predict_proba")
    guesses = np.argsort(-probabilities, 1)
    found = mapk([[label] for label in digits["target"]], guesses.tolist(), k=3)
    print(f"map@3 of digits: {found:.3f}; map@1, the accuracy: {(guesses[:, 0] == digits['target']).mean():.3f}")
    return found


def pictures(out: Path) -> None:
    digits = from_installed("digits_8x8")
    x, y = digits["data"], digits["target"]
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    sizes, train, test = learning_curve(classifier(), x, y, cv=cv, train_sizes=[60, 120, 240, 480, 1000],
                                        shuffle=True, random_state=0)  # fmt: skip
    plot_learning_curve(sizes, train, test, out / "learning_curve.png", "accuracy", "Digits: would more data help?")
    values = [1e-4, 1e-3, 1e-2, 1e-1, 0.3]
    train, test = validation_curve(classifier(), x[:400], y[:400], param_name="neuralnetclassifier__alpha",
                                   param_range=values, cv=cv)  # fmt: skip
    plot_validation_curve(values, train, test, out / "validation_curve.png", "weight decay", "accuracy",
                          title="Digits: how much weight decay?")  # fmt: skip
    print(f"pictures in {out}")


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/model_selection"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    found = validations() | ensembles()
    search()
    found["map@3"] = ranking()
    pictures(args.out)
    return found


if __name__ == "__main__":
    main()
