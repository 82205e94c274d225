"""fastdl.distributions against torch.distributions."""

import numpy as np
import pytest

import fastdl
from fastdl import distributions as D
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

rng = np.random.default_rng(0)
A, B = rng.standard_normal((3, 4)), rng.uniform(0.2, 2, (3, 4))
PROGRAMS = {
    "normal": lambda k, d, a, b: d.Normal(a, b).log_prob(a * 2) + d.Normal(a, b).entropy(),
    "normal numbers": lambda k, d, a, b: d.Normal(0.0, 2.0).log_prob(a.float()).double(),
    "normal kl": lambda k, d, a, b: d.kl_divergence(d.Normal(a, b), d.Normal(a * 0.5, b + 1)),
    "bernoulli": lambda k, d, a, b: d.Bernoulli(logits=a).log_prob((b > 1).double()) + d.Bernoulli(logits=a).entropy(),
    "bernoulli probs": lambda k, d, a, b: d.Bernoulli(b / 3).log_prob((a > 0).double()),
    "categorical": lambda k, d, a, b: d.Categorical(logits=a).log_prob(k.tensor([0, 3, 1])),
    "categorical entropy": lambda k, d, a, b: d.Categorical(b).entropy(),
    "categorical probs": lambda k, d, a, b: d.Categorical(b).log_prob(k.tensor([[0], [2]])),
    "categorical kl": lambda k, d, a, b: d.kl_divergence(d.Categorical(logits=a), d.Categorical(b)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_numbers_and_gradients(name):
    results = []
    for k, d in ((fastdl, D), (torch, torch.distributions)):
        a, b = k.tensor(A, requires_grad=True), k.tensor(B, requires_grad=True)
        out = PROGRAMS[name](k, d, a, b)
        out.sum().backward()
        results.append((out, a.grad, b.grad))
    for ours, theirs in zip(*results, strict=True):
        if theirs is not None and ours is not None:
            assert_close(ours, theirs.detach().numpy(), 1 << 32 if name == "normal numbers" else 2048)


def test_samples():
    fastdl.manual_seed(0)
    loc = fastdl.zeros(2, requires_grad=True)
    normal = D.Normal(loc, fastdl.tensor([1.0, 3.0]))
    drawn = normal.sample((4000,))
    assert drawn.shape == (4000, 2) and not drawn.requires_grad
    assert abs(drawn.std(0) - fastdl.tensor([1.0, 3.0])).max() < 0.15
    normal.rsample().sum().backward()
    assert loc.grad.tolist() == [1.0, 1.0]
    probabilities = fastdl.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    numbers = D.Categorical(probabilities).sample((1000,))
    assert numbers.shape == (1000, 2) and (numbers[:, 1] == 2).all() and numbers[:, 0].max() == 1
    assert D.Categorical(probabilities[0]).sample().shape == ()
    assert 400 < D.Bernoulli(fastdl.tensor([0.5])).sample((1000,)).sum() < 600


def test_errors():
    with pytest.raises(ValueError, match=r"\[Normal\] expected scale above 0"):
        D.Normal(0.0, 0.0)
    with pytest.raises(ValueError, match=r"\[Categorical\] expected probs or logits, got both or none"):
        D.Categorical()
    with pytest.raises(NotImplementedError, match=r"\[kl_divergence\] expected two Normal or two Categorical"):
        D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))
