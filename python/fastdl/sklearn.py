"""Networks as scikit-learn estimators, so that its pipelines, splits, searches, metrics and ensembles work on them.

`NeuralNetClassifier` and `NeuralNetRegressor` take the arguments of scikit-learn's `MLPClassifier` and `MLPRegressor`
under the same names, and `module` for any other network. This module needs scikit-learn; the rest of fastdl does not.
"""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import functional, nn, optim, random
from .autograd import no_grad
from .creation import tensor
from .data import DataLoader, TensorDataset
from .tensor import Tensor

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "logistic": nn.Sigmoid, "identity": nn.Identity}
SOLVERS: dict[str, Callable[..., Any]] = {
    "adam": lambda params, lr, alpha: optim.Adam(params, lr=lr, weight_decay=alpha),
    "sgd": lambda params, lr, alpha: optim.SGD(params, lr=lr, weight_decay=alpha, momentum=0.9, nesterov=True),
}
PREDICTED_AT_ONCE = 1024  # rows


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Everything inside draws from a seed; what comes after goes on as if nothing had been drawn."""
    before = random.get_rng_state()
    random.manual_seed(seed)
    try:
        yield
    finally:
        random.manual_seed(before["seed"])
        random.set_rng_state(before)


class _NeuralNet(BaseEstimator):
    """What classifier and regressor share: building, training, forward passes."""

    def __init__(
        self,
        module: Callable[[int, int], nn.Module] | nn.Module | None = None,
        *,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str = "relu",
        dropout: float = 0.0,
        solver: str = "adam",
        alpha: float = 1e-4,
        batch_size: int | str = "auto",
        learning_rate_init: float = 1e-3,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        device: str = "cpu",
    ) -> None:
        self.module = module
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.device = device

    # ---- what the subclasses say -------------------------------------------------------------------------------------

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of each item, (N,)."""
        raise NotImplementedError

    def _loss(self, output: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """The mean over a batch, of weighted items if there are weights."""
        losses = self._losses(output, target)
        return losses.mean() if weight is None else (losses * weight).sum() / weight.sum()

    # ---- building ----------------------------------------------------------------------------------------------------

    def _build(self, inputs: int, outputs: int) -> nn.Module:
        if isinstance(self.module, nn.Module):
            return copy.deepcopy(self.module)
        if self.module is not None:
            return self.module(inputs, outputs)
        layers: list[nn.Module] = []
        for size in np.atleast_1d(self.hidden_layer_sizes).tolist():
            layers += [nn.Linear(inputs, size), ACTIVATIONS[self.activation]()]
            layers += [nn.Dropout(self.dropout)] if self.dropout else []
            inputs = size
        return nn.Sequential(*layers, nn.Linear(inputs, outputs))

    def _check_options(self) -> None:
        name = type(self).__name__
        for option, allowed in (("activation", ACTIVATIONS), ("solver", SOLVERS)):
            if getattr(self, option) not in allowed:
                raise ValueError(f"[{name}] expected {option} to be one of {', '.join(allowed)}, "
                                 f"got {getattr(self, option)!r}")  # fmt: skip
        sizes = np.atleast_1d(self.hidden_layer_sizes)
        if sizes.ndim != 1 or any(int(s) != s or s < 1 for s in sizes):
            raise ValueError(f"[{name}] expected hidden_layer_sizes of at least 1, got {self.hidden_layer_sizes}")
        if self.max_iter < 1:
            raise ValueError(f"[{name}] expected max_iter of at least 1, got {self.max_iter}")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"[{name}] expected validation_fraction between 0 and 1, got {self.validation_fraction}")

    def _validated(self, X: Any, *y: Any, reset: bool) -> Any:
        """X as floats: its own dtype if that is a float, as scikit-learn's estimators do; images for a `module`."""
        dtypes = [np.float64, np.float32]
        images = self.module is not None
        options = {"multi_output": True, "y_numeric": isinstance(self, RegressorMixin)} if y else {}
        return validate_data(self, X, *y, dtype=dtypes, order="C", allow_nd=images, reset=reset, **options)

    # ---- training ----------------------------------------------------------------------------------------------------

    def _fit(
        self, X: np.ndarray, target: np.ndarray, outputs: int, stratify: np.ndarray | None, sample_weight: Any
    ) -> None:
        items = [X, target]
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
            items.append(weight)
            if not (weight == 1).all():  # what counts for nothing is not there, as if it had never been given
                items = [part[weight > 0] for part in items]
                stratify = None if stratify is None else stratify[weight > 0]
        with _seeded(int(check_random_state(self.random_state).randint(2**31 - 1))):
            self.module_ = self._build(X.shape[1], outputs).to(self.device).to(X.dtype.name)
            validation = None
            if self.early_stopping:
                from sklearn.model_selection import train_test_split

                parts = train_test_split(*items, test_size=self.validation_fraction, stratify=stratify,
                                         random_state=random.default_generator.numpy.integers(2**31))  # fmt: skip
                items, validation = parts[::2], parts[1::2]
            self._train(items, validation)
        self.module_.eval()

    def _train(self, items: list[np.ndarray], validation: list[np.ndarray] | None) -> None:
        size = min(200, len(items[0])) if self.batch_size == "auto" else int(self.batch_size)
        batches = DataLoader(TensorDataset(*items), size, shuffle=self.shuffle, prefetch=0, device=self.device)
        optimizer = SOLVERS[self.solver](self.module_.parameters(), self.learning_rate_init, self.alpha)
        self.loss_curve_: list[float] = []
        self.validation_losses_: list[float] | None = None if validation is None else []
        best, stale, best_state = np.inf, 0, None
        for epoch in range(1, self.max_iter + 1):
            self.n_iter_ = epoch
            self.loss_curve_.append(self._epoch(batches, optimizer))
            watched = self.loss_curve_[-1]
            if validation is not None and self.validation_losses_ is not None:
                watched = self._validation_loss(*validation)
                self.validation_losses_.append(watched)
            if self.verbose:
                print(f"epoch {epoch}: loss {self.loss_curve_[-1]:.6f}")
            stale = 0 if watched < best - self.tol else stale + 1
            if watched < best:
                best = watched
                best_state = copy.deepcopy(self.module_.state_dict()) if validation is not None else None
            if stale >= self.n_iter_no_change:
                break
        else:
            warnings.warn(f"[{type(self).__name__}] expected the loss to settle, got {self.max_iter} epochs (max_iter) "
                          "without that", ConvergenceWarning, stacklevel=3)  # fmt: skip
        if best_state is not None:
            self.module_.load_state_dict(best_state)

    def _epoch(self, batches: DataLoader, optimizer: Any) -> float:
        self.module_.train()
        total = whole = 0.0
        for x, target, *rest in batches:
            weight = rest[0] if rest else None
            optimizer.zero_grad()
            loss = self._loss(self.module_(x), target, weight)
            loss.backward()
            optimizer.step()
            share = len(x) if weight is None else weight.sum().item()
            total += loss.item() * share
            whole += share
        if not np.isfinite(total):
            raise ValueError(f"[{type(self).__name__}] expected a finite loss, got {total}: try a smaller "
                             "learning_rate_init, or scale the inputs")  # fmt: skip
        return total / whole

    def _validation_loss(self, X: np.ndarray, target: np.ndarray, weight: np.ndarray | None = None) -> float:
        weighted = None if weight is None else tensor(weight, device=self.device)
        with no_grad():
            return self._loss(self._outputs(X), tensor(target, device=self.device), weighted).item()

    @no_grad()
    def _outputs(self, X: np.ndarray) -> Tensor:
        self.module_.eval()
        parts = [X[i : i + PREDICTED_AT_ONCE] for i in range(0, len(X), PREDICTED_AT_ONCE)]
        return functional.layout.cat([self.module_(tensor(part, device=self.device)) for part in parts])

    def _forward(self, X: Any) -> Tensor:
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._outputs(X.astype(next(self.module_.parameters()).dtype.name, copy=False))


class NeuralNetClassifier(ClassifierMixin, _NeuralNet):
    """A network that classifies, trained on cross-entropy (counterpart: `sklearn.neural_network.MLPClassifier`).

    Args:
        module: the network, or `module(inputs, outputs)` that makes it, from (N, inputs) to logits (N, outputs); a
            network may also take images (N, C, H, W). Default: a multilayer perceptron from the next three arguments.
        hidden_layer_sizes, activation ("relu", "tanh", "logistic", "identity"), dropout: of the perceptron.
        solver: "adam", or "sgd" with Nesterov momentum 0.9.
        alpha: weight decay. batch_size: "auto" is 200, or all items if there are fewer.
        learning_rate_init, max_iter (epochs), shuffle, random_state, verbose: as in scikit-learn.
        tol, n_iter_no_change: training ends when the loss has not fallen by `tol` for so many epochs.
        early_stopping: watch `validation_fraction` of the items instead, and keep the best weights.
        device: where the network runs.

    Attributes:
        module_: the trained network. classes_, n_iter_, loss_curve_, validation_losses_, n_features_in_.

    >>> import numpy as np
    >>> x = np.array([[-1.0], [1.0]] * 20); y = np.array(["no", "yes"] * 20)
    >>> net = NeuralNetClassifier(hidden_layer_sizes=(8,), learning_rate_init=0.1, random_state=0).fit(x, y)
    >>> net.predict([[-2.0], [2.0]]).tolist()
    ['no', 'yes']
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralNetClassifier:
        """Trains a new network. X: (N, features) or, with `module`, (N, C, H, W); y: N labels of any kind;
        sample_weight: (N,), how much each item counts, as for `AdaBoostClassifier`."""
        self._check_options()
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], order="C", allow_nd=self.module is not None)
        check_classification_targets(y)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"[NeuralNetClassifier] expected at least 2 classes, got {len(self.classes_)} class")
        self._fit(X, target.astype(np.int64), len(self.classes_), target, sample_weight)
        return self

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target, reduction="none")

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (N, classes), columns in the order of `classes_`."""
        return functional.softmax(self._forward(X), 1).cpu().numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each item."""
        found = self._forward(X).cpu().numpy()  # first: it says so if nothing is fitted
        return self.classes_[found.argmax(1)]


class NeuralNetRegressor(RegressorMixin, _NeuralNet):
    """A network that predicts numbers, trained on the squared error.

    The counterpart is `sklearn.neural_network.MLPRegressor`. Arguments and attributes are those of
    `NeuralNetClassifier`, classes apart; y may have several columns.

    >>> import numpy as np
    >>> x = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> net = NeuralNetRegressor(learning_rate_init=0.1, random_state=0).fit(x, 2 * x[:, 0])
    >>> bool(abs(net.predict([[0.5]])[0] - 1) < 0.1)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NeuralNetRegressor:
        """Trains a new network. X: (N, features) or, with `module`, (N, C, H, W); y: (N,) or (N, outputs);
        sample_weight: (N,), how much each item counts."""
        self._check_options()
        X, y = self._validated(X, y, reset=True)
        target = y.reshape(len(y), -1).astype(X.dtype)
        self._single = y.ndim == 1
        self._fit(X, target, target.shape[1], None, sample_weight)
        return self

    def _losses(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, target, reduction="none").mean(1)

    def predict(self, X: Any) -> np.ndarray:
        """Predictions (N,) or (N, outputs), as y was."""
        found = self._forward(X).cpu().numpy()
        return found[:, 0] if self._single else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
