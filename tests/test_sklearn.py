"""Networks as scikit-learn estimators: scikit-learn's own checks, nothing excluded."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import fastdl
from fastdl import nn
from fastdl.sklearn import NeuralNetClassifier, NeuralNetRegressor


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([NeuralNetClassifier(), NeuralNetRegressor()])
def test_sklearn_checks(estimator, check):
    check(estimator)


def classifier(**changes):
    options = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.01, "max_iter": 20, "tol": 0.0, "random_state": 0}
    return make_pipeline(StandardScaler(), NeuralNetClassifier(**{**options, **changes}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
class TestOnRealData:
    def test_cross_validation(self):
        x, y = load_breast_cancer(return_X_y=True)
        assert cross_val_score(classifier(), x, y, cv=5, scoring="roc_auc").mean() > 0.98

    def test_search(self):
        x, y = load_digits(return_X_y=True)
        search = GridSearchCV(classifier(), {"neuralnetclassifier__alpha": [0.0, 1e-3]}, cv=3).fit(x, y)
        assert search.best_score_ > 0.93

    @pytest.mark.parametrize("ensemble", [
        lambda: BaggingClassifier(classifier(), n_estimators=3, random_state=0),
        lambda: VotingClassifier([("net", classifier()), ("linear", LogisticRegression(max_iter=500))], voting="soft"),
        lambda: AdaBoostClassifier(NeuralNetClassifier(nn.Linear, learning_rate_init=0.05, max_iter=40, tol=0.0),
                                   n_estimators=3, random_state=0),
        lambda: StackingClassifier([("net", classifier()), ("other", classifier(random_state=1))], cv=3),
    ])  # fmt: skip
    def test_ensembles(self, ensemble):
        x, y = load_digits(return_X_y=True)
        x = x / 16
        assert ensemble().fit(x[:1200], y[:1200]).score(x[1200:], y[1200:]) > 0.9

    def test_regression_beats_the_mean(self):
        x, y = load_diabetes(return_X_y=True)
        net = NeuralNetRegressor(nn.Linear, learning_rate_init=0.5, max_iter=200, random_state=0)
        net = make_pipeline(StandardScaler(), net)
        assert cross_val_score(net, x, y, cv=5).mean() > 0.35

    def test_images_through_a_module(self):
        x, y = load_digits(return_X_y=True)
        x = (x / 16).reshape(-1, 1, 8, 8).astype(np.float32)

        def network(_, outputs):
            return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                                 nn.Linear(256, outputs))  # fmt: skip

        net = NeuralNetClassifier(network, max_iter=30, learning_rate_init=0.01, random_state=0)
        assert net.fit(x[:1200], y[:1200]).score(x[1200:], y[1200:]) > 0.93
        assert net.predict_proba(x[:3]).dtype == np.float32


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_seed_fixes_the_result_and_leaves_the_global_one_alone():
    x, y = load_breast_cancer(return_X_y=True)
    fastdl.manual_seed(5)
    before = fastdl.get_rng_state()
    first, second = (classifier(dropout=0.2).fit(x, y).predict_proba(x) for _ in range(2))
    assert (first == second).all()
    assert str(fastdl.get_rng_state()) == str(before)


def test_early_stopping_keeps_the_best_weights():
    x, y = load_breast_cancer(return_X_y=True)
    net = classifier(early_stopping=True, max_iter=500, learning_rate_init=0.05, tol=1e-4).fit(x, y)[-1]
    losses = net.validation_losses_
    assert len(losses) == net.n_iter_ < 500
    again = pickle.loads(pickle.dumps(net))
    assert (again.predict_proba(x) == net.predict_proba(x)).all()


@pytest.mark.parametrize(("options", "message"), [
    ({"activation": "swish"}, "expected activation to be one of relu, tanh, logistic, identity, got 'swish'"),
    ({"solver": "lbfgs"}, "expected solver to be one of adam, sgd, got 'lbfgs'"),
    ({"max_iter": 0}, "expected max_iter of at least 1, got 0"),
    ({"hidden_layer_sizes": (4, 0)}, r"expected hidden_layer_sizes of at least 1, got \(4, 0\)"),
    ({"validation_fraction": 1.0}, "expected validation_fraction between 0 and 1, got 1.0"),
])  # fmt: skip
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        NeuralNetClassifier(**options).fit(np.eye(4), [0, 1, 0, 1])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_weights_are_repetitions_and_early_stopping_keeps_them():
    x, y = load_breast_cancer(return_X_y=True)
    x = StandardScaler().fit_transform(x)
    weight = np.random.default_rng(0).integers(0, 4, len(y))
    options = {"hidden_layer_sizes": (8,), "max_iter": 30, "batch_size": 5000, "random_state": 8}
    weighted = NeuralNetClassifier(**options).fit(x, y, sample_weight=weight)
    repeated = NeuralNetClassifier(**options).fit(np.repeat(x, weight, 0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.predict_proba(x), repeated.predict_proba(x), rtol=1e-7)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-9)
    stopped = NeuralNetClassifier(**options, early_stopping=True).fit(x, y, sample_weight=weight)
    assert stopped.score(x, y) > 0.9 and len(stopped.validation_losses_) == stopped.n_iter_
    with pytest.raises(ValueError, match="at least one non-zero number"):
        NeuralNetClassifier().fit(x, y, sample_weight=np.zeros(len(y)))
