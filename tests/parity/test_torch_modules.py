"""Layers against PyTorch's of the same arguments: state dict, output, gradients; initialisers; utilities; hooks."""

import numpy as np
import pytest

import fastdl
from fastdl import nn
from fastdl.testing import assert_close

torch = pytest.importorskip("torch", reason="PyTorch is not installed")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


ROWS, LINE, PLANE = (4, 6), (2, 4, 9), (2, 4, 6, 7)
LAYERS = [
    ("CELU", (1.5,), [ROWS]),
    ("Mish", (), [ROWS]),
    ("GLU", (1,), [ROWS]),
    ("Softmin", (1,), [ROWS]),
    ("Softmax2d", (), [PLANE]),
    ("Softsign", (), [ROWS]),
    ("Tanhshrink", (), [ROWS]),
    ("Softshrink", (0.3,), [ROWS]),
    ("Hardshrink", (0.3,), [ROWS]),
    ("Threshold", (0.1, 7.0), [ROWS]),
    ("GroupNorm", (2, 4), [PLANE]),
    ("GroupNorm", (4, 4, 1e-3, False), [LINE]),
    ("InstanceNorm1d", (4,), [LINE]),
    ("InstanceNorm2d", (4,), [PLANE]),
    ("InstanceNorm2d", (4, 1e-5, 0.3, True, True), [PLANE]),
    ("RMSNorm", (6,), [ROWS]),
    ("RMSNorm", ([6, 7], 1e-3), [PLANE]),
    ("ZeroPad2d", ((1, 2, 3, 0),), [PLANE]),
    ("ConstantPad1d", (2, 3.5), [LINE]),
    ("ConstantPad2d", ((1, 0, 2, 1), 0.5), [PLANE]),
    ("ReflectionPad1d", (2,), [LINE]),
    ("ReflectionPad2d", ((1, 2, 3, 0),), [PLANE]),
    ("ReplicationPad1d", ((3, 1),), [LINE]),
    ("ReplicationPad2d", (2,), [PLANE]),
    ("CircularPad1d", ((3, 1),), [LINE]),
    ("CircularPad2d", ((1, 2, 2, 1),), [PLANE]),
    ("Bilinear", (6, 5, 3), [ROWS, (4, 5)]),
    ("Bilinear", (6, 5, 3, False), [(2, 3, 6), (2, 3, 5)]),
    ("CosineSimilarity", (1,), [ROWS, ROWS]),
    ("PairwiseDistance", (), [ROWS, ROWS]),
    ("Unflatten", (1, (2, 3)), [ROWS]),
    ("ChannelShuffle", (2,), [PLANE]),
    ("Unfold", ((2, 3), 1, 1, 2), [PLANE]),
    ("Unfold", (2, 2), [PLANE]),
    ("Fold", ((6, 7), (2, 3), 1, 1, 2), [(2, 24, 16)]),
    ("LPPool1d", (2, 3), [LINE]),
    ("LPPool2d", (3, (2, 3), 2), [(2, 4, 6, 7)]),
    ("MarginRankingLoss", (0.5,), [ROWS, ROWS, "sign"]),
    ("HingeEmbeddingLoss", (), [ROWS, "sign"]),
    ("SoftMarginLoss", (), [ROWS, "sign"]),
    ("MultiLabelSoftMarginLoss", (), [ROWS, "bits"]),
    ("PoissonNLLLoss", (), [ROWS, "counts"]),
    ("PoissonNLLLoss", (True, True), [ROWS, "counts"]),
    ("GaussianNLLLoss", (), [ROWS, ROWS, "positive"]),
    ("TripletMarginWithDistanceLoss", (), [ROWS, ROWS, ROWS]),
    ("Dropout1d", (0.0,), [LINE]),
    ("AlphaDropout", (0.0,), [ROWS]),
]
TARGETS = {
    "sign": lambda: np.where(array(4, 6, seed=9) > 0, 1.0, -1.0), "bits": lambda: (array(4, 6, seed=9) > 0) * 1.0,
    "counts": lambda: np.floor(np.abs(array(4, 6, seed=9)) * 3), "positive": lambda: np.abs(array(4, 6, seed=9)) + 0.1,
}  # fmt: skip


def twins(name, args, **options):
    theirs = getattr(torch.nn, name)(*args, **options).double()
    mine = getattr(nn, name)(*args, **options).double()
    expected = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: value.shape for key, value in mine.state_dict().items()} == expected
    mine.load_state_dict({key: fastdl.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    return mine, theirs


@pytest.mark.parametrize("i", range(len(LAYERS)), ids=lambda i: f"{i}-{LAYERS[i][0]}")
def test_layers(i):
    name, args, shapes = LAYERS[i]
    mine, theirs = twins(name, args)
    inputs = [TARGETS[s]() if isinstance(s, str) else array(*s, seed=j) for j, s in enumerate(shapes)]
    if name == "LPPool2d":
        inputs = [np.abs(x) + 0.1 for x in inputs]
    ours = [fastdl.tensor(x, requires_grad=not isinstance(s, str)) for x, s in zip(inputs, shapes, strict=True)]
    other = [torch.tensor(x, requires_grad=not isinstance(s, str)) for x, s in zip(inputs, shapes, strict=True)]
    for _ in range(2):
        out, want = mine(*ours), theirs(*other)
    assert_close(out, want.detach().numpy(), 512)
    grad = array(*want.shape, seed=8)
    out.backward(fastdl.tensor(grad))
    want.backward(torch.tensor(grad))
    for m, o in zip([*ours, *mine.parameters()], [*other, *theirs.parameters()], strict=True):
        if o.grad is not None:
            assert_close(m.grad, o.grad.numpy(), 2048)
    for key, value in theirs.state_dict().items():
        assert_close(mine.state_dict()[key], value.numpy(), 256, what=key)
    theirs.eval()
    mine.eval()
    assert_close(mine(*ours), theirs(*other).detach().numpy(), 512)


STATES = [
    ("Linear", (3, 4)),
    ("Conv1d", (2, 4, 3)),
    ("Conv2d", (2, 4, 3)),
    ("ConvTranspose1d", (2, 4, 3)),
    ("ConvTranspose2d", (2, 4, 3)),
    ("BatchNorm1d", (3,)),
    ("BatchNorm2d", (3,)),
    ("LayerNorm", (3,)),
    ("Embedding", (5, 3)),
    ("EmbeddingBag", (5, 3)),
    ("PReLU", (3,)),
    ("RNN", (3, 4, 2)),
    ("LSTM", (3, 4)),
    ("GRU", (3, 4)),
    ("RNNCell", (3, 4)),
    ("LSTMCell", (3, 4)),
    ("GRUCell", (3, 4)),
    ("CrossEntropyLoss", ()),
    ("MultiheadAttention", (8, 2)),
]


@pytest.mark.parametrize(("name", "args"), STATES)
def test_state_dicts_have_pytorchs_names_and_shapes(name, args):
    twins(name, args)


def test_containers_have_pytorchs_names_and_print_alike():
    def build(kit, numbers):
        return kit.Sequential(
            kit.ModuleDict({"a": kit.Linear(2, 3), "b": kit.ReLU()}),
            kit.ModuleList([kit.Linear(3, 3), kit.Linear(3, 3)]),
            kit.ParameterList([kit.Parameter(numbers.zeros(2, 3)), kit.Parameter(numbers.zeros(1))]),
            kit.ParameterDict({"w": kit.Parameter(numbers.zeros(4))}),
        )

    mine, theirs = build(nn, fastdl), build(torch.nn, torch)
    assert {k: v.shape for k, v in mine.state_dict().items()} == {
        k: tuple(v.shape) for k, v in theirs.state_dict().items()
    }
    assert [n for n, _ in mine.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in mine.named_parameters()] == [n for n, _ in theirs.named_parameters()]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masks", ["none", "causal", "padding", "both"])
def test_multihead_attention(batch_first, masks):
    mine, theirs = twins("MultiheadAttention", (8, 2), batch_first=batch_first)
    query, memory = array(3, 3, 8), array(3, 3, 8, seed=1)
    causal = np.triu(np.ones((3, 3), bool), 1)
    hidden = np.array([[False, False, True], [False, True, True], [False, False, False]])
    given = {}
    if masks in ("causal", "both"):
        given["attn_mask"] = causal
    if masks in ("padding", "both"):
        given["key_padding_mask"] = hidden
    ours, other = fastdl.tensor(query, requires_grad=True), torch.tensor(query, requires_grad=True)
    m, t = fastdl.tensor(memory), torch.tensor(memory)
    out, weights = mine(ours, m, m, **{k: fastdl.tensor(v) for k, v in given.items()})
    want, shares = theirs(other, t, t, **{k: torch.tensor(v) for k, v in given.items()})
    assert_close(out, want.detach().numpy(), 256)
    assert_close(weights, shares.detach().numpy(), 256)
    out.sum().backward()
    want.sum().backward()
    assert_close(ours.grad, other.grad.numpy(), 1024)
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert_close(p.grad, q.grad.numpy(), 4096, magnitude=1.0)


@pytest.mark.parametrize("causal", [False, True])
def test_scaled_dot_product_attention(causal):
    q, k, v = (array(2, 3, 5, 4, seed=i) for i in range(3))
    out = fastdl.functional.scaled_dot_product_attention(*map(fastdl.tensor, (q, k, v)), is_causal=causal)
    want = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, (q, k, v)), is_causal=causal)
    assert_close(out, want.numpy(), 128)


def test_functions():
    x, y = array(5, 4), array(5, 4, seed=1)
    for run in (
        lambda k, a, b: k.normalize(a, dim=1),
        lambda k, a, b: k.normalize(a, p=1.0, dim=0),
        lambda k, a, b: k.pdist(a),
        lambda k, a, b: k.cosine_similarity(a, b, dim=0),
        lambda k, a, b: k.rrelu(a, training=False),
        lambda k, a, b: k.gaussian_nll_loss(a, b, a.abs(), full=True, reduction="sum"),
        lambda k, a, b: k.poisson_nll_loss(a.abs(), b.abs(), log_input=False, reduction="none"),
    ):
        out = run(fastdl.functional, fastdl.tensor(x), fastdl.tensor(y))
        assert_close(out, run(torch.nn.functional, torch.tensor(x), torch.tensor(y)).numpy(), 128)


def test_initial_values():
    for name, shape in (("eye_", (3, 5)), ("dirac_", (4, 3, 3)), ("dirac_", (5, 2, 3, 4)), ("constant_", (2, 2))):
        args = (0.5,) if name == "constant_" else ()
        expected = getattr(torch.nn.init, name)(torch.empty(*shape), *args)
        np.testing.assert_array_equal(getattr(nn.init, name)(fastdl.empty(*shape), *args).numpy(), expected.numpy())
    expected = torch.nn.init.dirac_(torch.empty(6, 2, 3), groups=2)
    np.testing.assert_array_equal(nn.init.dirac_(fastdl.empty(6, 2, 3), groups=2).numpy(), expected.numpy())


def test_backward_hooks_see_the_same_gradients():
    def run(kit, numbers, x):
        net = kit.Sequential(kit.Linear(3, 4), kit.Tanh(), kit.Linear(4, 2)).double()
        with numbers.no_grad():
            for p in net.parameters():
                p.copy_(((numbers.arange(p.numel()) - 3.0) / 8).reshape(p.shape))
        seen = []
        for layer in net:
            layer.register_full_backward_hook(lambda m, i, o: seen.append((type(m).__name__, *i, *o)))
        net[1].register_full_backward_hook(lambda m, i, o: (i[0] * 2,))
        handle = net[0].register_forward_hook(lambda m, args, kwargs, out: out * 0.5, with_kwargs=True, prepend=True)
        net(x).sum().backward()
        handle.remove()
        net(x)
        return seen, [p.grad for p in net.parameters()]

    x = array(5, 3)
    mine, my_grads = run(nn, fastdl, fastdl.tensor(x, requires_grad=True))
    theirs, their_grads = run(torch.nn, torch, torch.tensor(x, requires_grad=True))
    for (name, *grads), (expected, *wanted) in zip(mine, theirs, strict=True):
        assert name == expected
        for g, w in zip(grads, wanted, strict=True):
            assert_close(g, w.numpy(), 64)
    for g, w in zip(my_grads, their_grads, strict=True):
        assert_close(g, w.numpy(), 64)


def test_parameters_to_vector():
    mine, theirs = twins("Linear", (3, 2))
    vector = nn.utils.parameters_to_vector(mine.parameters())
    assert_close(vector, torch.nn.utils.parameters_to_vector(theirs.parameters()).detach().numpy(), 1)
    nn.utils.vector_to_parameters(fastdl.arange(8).double(), mine.parameters())
    torch.nn.utils.vector_to_parameters(torch.arange(8).double(), theirs.parameters())
    for p, q in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert_close(p, q.detach().numpy(), 1)
    with pytest.raises(ValueError, match=r"\[vector_to_parameters\] expected a vector of 8 numbers"):
        nn.utils.vector_to_parameters(fastdl.zeros(3), mine.parameters())
