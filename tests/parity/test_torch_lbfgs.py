"""L-BFGS against PyTorch's: the same losses, weights and counts."""

import numpy as np
import pytest

import fastdl
from fastdl import nn, optim

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.mark.parametrize("options", [{}, {"lr": 0.3, "history_size": 3, "max_iter": 5}, {"max_eval": 3}])
def test_lbfgs_goes_the_same_way(options):
    """Logistic regression on one batch: losses and weights of 50 iterations."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((40, 5)), rng.integers(0, 3, 40)

    def losses(kit, numbers, optimizers):
        layer = kit.Linear(5, 3).double()
        with numbers.no_grad():
            for p in layer.parameters():
                p.copy_(((numbers.arange(p.numel()) % 5 - 2.0) / 8).reshape(p.shape))
        optimizer = optimizers.LBFGS(layer.parameters(), **options)

        def closure():
            optimizer.zero_grad()
            loss = kit.CrossEntropyLoss()(layer(numbers.tensor(x)), numbers.tensor(y))
            loss = loss + 0.01 * layer.weight.square().sum()
            loss.backward()
            return loss

        found = [float(optimizer.step(closure).detach()) for _ in range(10)]
        state = optimizer.state[next(iter(layer.parameters()))]
        return found, layer.weight.detach().numpy(), state["n_iter"], state["func_evals"]

    mine, theirs = losses(nn, fastdl, optim), losses(torch.nn, torch, torch.optim)
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-9)
    np.testing.assert_allclose(mine[1], theirs[1], rtol=1e-6, atol=1e-9)
    assert mine[2:] == theirs[2:]


def test_lbfgs_refuses():
    w = nn.Parameter(fastdl.ones(1))
    with pytest.raises(TypeError, match=r"\[LBFGS\] expected a closure that computes the loss, got None"):
        optim.LBFGS([w]).step()
    with pytest.raises(NotImplementedError, match=r"\[LBFGS\] expected line_search_fn None, got 'strong_wolfe'"):
        optim.LBFGS([w], line_search_fn="strong_wolfe")
    with pytest.raises(ValueError, match=r"\[LBFGS\] expected one group of parameters, got 2"):
        optim.LBFGS([{"params": [w]}, {"params": [nn.Parameter(fastdl.ones(1))]}])
