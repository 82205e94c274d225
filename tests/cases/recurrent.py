"""Recurrent layers: every mode, both directions, time or batch first, full and packed; packing and its way back."""

import numpy as np

import fastdl
import fastdl.functional as F
from fastdl import nn
from fastdl.functional.recurrent import pack_rows, unpack_rows
from fastdl.testing import BadCall, OpCase

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def sequences(lengths):
    """batch_sizes and order of sequences of these lengths."""
    n = np.asarray(lengths)
    order = np.argsort(-n, kind="stable")
    return (n[:, None] > np.arange(n.max())).sum(0), order


def layer(rng, mode, t, n, i, h, bidirectional=False, batch_first=False, bias=True, states=True, lengths=None):
    d, rows = 2 if bidirectional else 1, GATES[mode] * h
    shape = (sum(lengths), i) if lengths else (n, t, i) if batch_first else (t, n, i)
    arrays = [rng.standard_normal(shape)]
    if states:
        arrays += [rng.standard_normal((d, n, h)) for _ in range(2 if mode == "lstm" else 1)]
    for _ in range(d):
        weights = [(rows, i), (rows, h), *([(rows,), (rows,)] if bias else [])]
        arrays += [rng.uniform(-1, 1, s) / max(h, 1) ** 0.5 for s in weights]
    return arrays


def run(x, *rest, mode, bidirectional=False, batch_first=False, states=True, lengths=None):
    """The three outputs in one: their gradients come together."""
    count = (2 if mode == "lstm" else 1) if states else 0
    h0, c0 = (*rest[:count], None, None)[:2]
    sizes = order = None
    if lengths is not None:
        sizes, order = (fastdl.tensor(a, dtype="int64", device=x.device) for a in sequences(lengths))
    outs = F.recurrent(x, rest[count:], mode, h0, c0, sizes, order, bidirectional, batch_first)
    return fastdl.cat([o.reshape(-1) * (i + 1) for i, o in enumerate(outs) if o is not None])


def sizes():
    small = [{"mode": m, "t": 3, "n": 2, "i": 3, "h": 4} for m in GATES]
    full = [
        {"mode": m, "t": t, "n": n, "i": i, "h": h}
        for m in GATES
        for t, n, i, h in ((1, 1, 1, 1), (4, 7, 5, 17), (5, 13, 16, 16), (2, 3, 33, 70), (9, 1, 7, 14), (2, 14, 1, 15))
    ]
    both = [
        {"mode": m, "t": 4, "n": 5, "i": 6, "h": 19, "bidirectional": True, "batch_first": first, "states": first}
        for m in GATES
        for first in (False, True)
    ]
    packed = [
        {"mode": m, "t": 6, "n": 5, "i": 4, "h": 18, "lengths": (2, 6, 1, 6, 3), "bidirectional": two, "bias": two}
        for m in GATES
        for two in (False, True)
    ]
    large = [{"mode": "lstm", "t": 5, "n": 34, "i": 40, "h": 130}, {"mode": "gru", "t": 30, "n": 3, "i": 40, "h": 200}]
    # Panels of two and three chunks: the border lies at, before and behind the first number of h.
    chunks = [
        {"mode": m, "t": 3, "n": n, "i": i, "h": h, "bidirectional": two}
        for m, n, i, h, two in (
            ("lstm", 14, 128, 128, False),
            ("gru", 13, 96, 64, True),
            ("gru", 25, 150, 33, False),
            ("rnn_tanh", 19, 40, 217, False),
            ("lstm", 31, 5, 124, True),
        )
    ]
    # More sequences and units than a tile of a step on CUDA, that end and begin within tiles.
    tiles = [
        {"mode": m, "t": 3, "n": 40, "i": 5, "h": 34, "bidirectional": True,
         "lengths": tuple(1 + j * 7 % 3 for j in range(40))}
        for m in GATES
    ]  # fmt: skip
    # More sequences and units than a block of the tile unit (AMX), that end inside, and steps enough for it.
    blocks = [
        {"mode": m, "t": 6, "n": 61, "i": 30, "h": 120 if m.startswith("rnn") else 100, "states": False, **how}
        for m in GATES
        for how in (
            {"states": True},
            {"batch_first": True},
            {"bidirectional": True, "lengths": tuple(1 + j * 7 % 6 for j in range(61))},
        )
    ]
    empty = [
        {"mode": "lstm", "t": 0, "n": 2, "i": 3, "h": 4},
        {"mode": "gru", "t": 2, "n": 0, "i": 3, "h": 4, "bidirectional": True},
        {"mode": "gru", "t": 2, "n": 2, "i": 0, "h": 4},
        {"mode": "lstm", "t": 2, "n": 2, "i": 3, "h": 0},
    ]
    return [*small, *full, *both, *packed, *large, *chunks, *tiles, *blocks, *empty]


def make_rows(rng, lengths, steps, tail, batch_first=False, packed=False, **_):
    n = len(lengths)
    shape = (sum(lengths),) if packed else (n, steps) if batch_first else (steps, n)
    return [rng.standard_normal((*shape, *tail))]


def pack(x, lengths, batch_first=False):
    return pack_rows(x, *(fastdl.tensor(a, dtype="int64", device=x.device) for a in sequences(lengths)), batch_first)


def unpack(x, lengths, steps, batch_first=False, padding=0.0):
    batch_sizes, order = (fastdl.tensor(a, dtype="int64", device=x.device) for a in sequences(lengths))
    return unpack_rows(x, batch_sizes, order, batch_first, steps, padding)


def on(device, *shape, dtype="float32"):
    return fastdl.ones(*shape, dtype=dtype, device=device)


def call(device, mode="lstm", x=(3, 2, 4), w=((12, 4), (12, 3)), **states):
    return F.recurrent(on(device, *x), [on(device, *s) for s in w], mode, **states)


def packed(device, sizes, order=None, rows=3):
    ints = [None if v is None else fastdl.tensor(v, dtype="int64", device=device) for v in (sizes, order)]
    return F.recurrent(on(device, rows, 4), [on(device, 3, 4), on(device, 3, 3)], "rnn_tanh", None, None, *ints)


def projected(rng, t, n, i, h, p, bidirectional=False, batch_first=False, bias=True, states=True, lengths=None):
    d, rows = 2 if bidirectional else 1, 4 * h
    shape = (sum(lengths), i) if lengths else (n, t, i) if batch_first else (t, n, i)
    arrays = [rng.standard_normal(shape), *(rng.standard_normal((d, n, k)) for k in (p, h) if states)]
    for _ in range(d):
        weights = [(rows, i), (rows, p), *([(rows,), (rows,)] if bias else []), (p, h)]
        arrays += [rng.uniform(-1, 1, s) / h**0.5 for s in weights]
    return arrays


def run_projected(x, *rest, bidirectional=False, batch_first=False, states=True, lengths=None):
    h0, c0 = rest[:2] if states else (None, None)
    at = (None, None)
    if lengths is not None:
        at = (fastdl.tensor(a, dtype="int64", device=x.device) for a in sequences(lengths))
    outs = F.lstm_projected(x, rest[2 if states else 0 :], h0, c0, *at, bidirectional, batch_first)
    return fastdl.cat([o.reshape(-1) * (i + 1) for i, o in enumerate(outs)])


def projected_call(device, x=(3, 2, 4), w=((12, 4), (12, 2), (2, 3)), batch_sizes=None, order=None, **states):
    ints = [None if v is None else fastdl.tensor(v, dtype="int64", device=device) for v in (batch_sizes, order)]
    given = [on(device, *states[k]) if k in states else None for k in ("h_0", "c_0")]
    return F.lstm_projected(on(device, *x), [on(device, *s) for s in w], *given, *ints)


PROJECTED = OpCase("lstm_projected", run_projected, projected, [
    {"t": 3, "n": 2, "i": 3, "h": 4, "p": 2},
    {"t": 4, "n": 5, "i": 6, "h": 19, "p": 7, "bidirectional": True, "bias": False},
    {"t": 4, "n": 5, "i": 6, "h": 17, "p": 16, "bidirectional": True, "batch_first": True, "states": False},
    {"t": 6, "n": 5, "i": 4, "h": 18, "p": 3, "lengths": (2, 6, 1, 6, 3), "bidirectional": True},
    {"t": 6, "n": 3, "i": 4, "h": 8, "p": 1, "lengths": (2, 6, 1), "states": False},
    {"t": 0, "n": 2, "i": 3, "h": 4, "p": 2},
    {"t": 2, "n": 0, "i": 3, "h": 4, "p": 2, "bidirectional": True},
], [
    BadCall(lambda d: projected_call(d, x=(2, 4)), ValueError,
            "[lstm_projected] expected input with 3 dimensions, got shape (2, 4)"),
    BadCall(lambda d: projected_call(d, w=((12, 4), (12, 2))), ValueError,
            "[lstm_projected] expected 3 or 5 weights for each of 1 directions, got 2"),
    BadCall(lambda d: projected_call(d, w=((12, 4), (12, 3), (2, 3))), ValueError,
            "[lstm_projected] expected weight_hh of shape (12, 2), got shape (12, 3)"),
    BadCall(lambda d: projected_call(d, w=((12, 4), (12, 2), (2,))), ValueError,
            "[lstm_projected] expected weight_hr with 2 dimensions, got shape (2,)"),
    BadCall(lambda d: projected_call(d, h_0=(1, 2, 3)), ValueError,
            "[lstm_projected] expected h_0 of shape (1, 2, 2), got shape (1, 2, 3)"),
    BadCall(lambda d: projected_call(d, c_0=(1, 2, 2)), ValueError,
            "[lstm_projected] expected c_0 of shape (1, 2, 3), got shape (1, 2, 2)"),
    BadCall(lambda d: F.lstm_projected(on(d, 3, 2, 4), [on(d, 12, 4, dtype="float64")] * 3), TypeError,
            "[lstm_projected] expected weights of dtype float32, got float64"),
    BadCall(lambda d: projected_call(d, x=(3, 4), batch_sizes=[1, 2]), ValueError,
            "[lstm_projected] expected batch_sizes that are at least 1 and never grow, got 2 at step 1"),
    BadCall(lambda d: projected_call(d, x=(3, 4), batch_sizes=[2, 2]), ValueError,
            "[lstm_projected] expected batch_sizes that add up to 3 rows, got [2, 2]"),
    BadCall(lambda d: projected_call(d, x=(3, 4), batch_sizes=[2, 1], order=[1, 1]), ValueError,
            "[lstm_projected] expected order that names each of 2 sequences once, got [1, 1]"),
], shape_only=("t", "n", "i", "h", "p", "bias"), epsilons=256)  # fmt: skip

CASES = [
    PROJECTED,
    OpCase("recurrent", run, layer, sizes(), [
        BadCall(lambda d: call(d, "elman"), ValueError,
                "[recurrent] expected mode rnn_tanh, rnn_relu, lstm or gru, got elman"),
        BadCall(lambda d: call(d, x=(2, 4)), ValueError,
                "[recurrent] expected input with 3 dimensions, got shape (2, 4)"),
        BadCall(lambda d: call(d, w=((12, 4), (9, 3))), ValueError,
                "[recurrent] expected weight_hh of shape (12, 3), got shape (9, 3)"),
        BadCall(lambda d: call(d, w=((12, 5), (12, 3))), ValueError,
                "[recurrent] expected weight_ih of shape (12, 4), got shape (12, 5)"),
        BadCall(lambda d: call(d, w=((12, 4), (12, 3), (12,))), ValueError,
                "[recurrent] expected 2 or 4 weights for each of 1 directions, got 3"),
        BadCall(lambda d: call(d, h_0=on(d, 1, 3, 3)), ValueError,
                "[recurrent] expected h_0 of shape (1, 2, 3), got shape (1, 3, 3)"),
        BadCall(lambda d: call(d, h_0=on(d, 1, 2, 3, dtype="float64")), TypeError,
                "[recurrent] expected h_0 of dtype float32, got float64"),
        BadCall(lambda d: call(d, "rnn_relu", w=((3, 4), (3, 3)), c_0=on(d, 1, 2, 3)), ValueError,
                "[recurrent] expected no c_0 but for lstm, got one"),
        BadCall(lambda d: packed(d, [1, 2]), ValueError,
                "[recurrent] expected batch_sizes that are at least 1 and never grow, got 2 at step 1"),
        BadCall(lambda d: packed(d, [2, 2]), ValueError,
                "[recurrent] expected input of 4 rows for batch_sizes, got shape (3, 4)"),
        BadCall(lambda d: packed(d, [2, 1], [1, 1]), ValueError,
                "[recurrent] expected order that names each of 2 sequences once, got 1 at position 1"),
        BadCall(lambda d: packed(d, [2, 1], [0, 2]), ValueError,
                "[recurrent] expected order that names each of 2 sequences once, got 2 at position 1"),
        BadCall(lambda d: F.recurrent(None, [], "lstm"), TypeError,
                "[recurrent] expected a Tensor for input, got NoneType"),
        BadCall(lambda d: nn.LSTM(3, 4, proj_size=4), ValueError,
                "[LSTM] expected proj_size of at least 0 and below 4, got 4"),
        BadCall(lambda d: nn.LSTM(3, 4, proj_size=2, device=d)(on(d, 5, 2, 3), (on(d, 1, 2, 4), on(d, 1, 2, 4))),
                ValueError, "[LSTM] expected h_0 of shape (1, 2, 2), got (1, 2, 4)"),
        BadCall(lambda d: nn.RNN(3, 4, nonlinearity="sin"), ValueError,
                "[RNN] expected nonlinearity 'tanh' or 'relu', got 'sin'"),
        BadCall(lambda d: nn.GRU(3, 4, device=d)(on(d, 5, 2, 2)), ValueError,
                "[GRU] expected input of 3 numbers a step, got shape (5, 2, 2)"),
        BadCall(lambda d: nn.GRU(3, 4, device=d)(on(d, 5, 2, 3), on(d, 2, 2, 4)), ValueError,
                "[GRU] expected h_0 of shape (1, 2, 4), got (2, 2, 4)"),
        BadCall(lambda d: nn.GRU(3, 4, device=d)(on(d, 5, 2, 3), lengths=[5, 6]), ValueError,
                "[GRU] expected 2 lengths of at most 5, got 2 of at most 6"),
    ], shape_only=("t", "n", "i", "h", "bias"), epsilons=256,
       gradcheck_sizes=[*sizes()[:4], {"mode": "gru", "t": 3, "n": 3, "i": 2, "h": 3, "lengths": (1, 3, 2),
                                       "bidirectional": True}]),
    OpCase("pack_rows", pack, make_rows, [
        {"lengths": (2, 5, 1), "steps": 5, "tail": (3,)},
        {"lengths": (2, 5, 1), "steps": 7, "tail": (), "batch_first": True},
        {"lengths": (9, 9), "steps": 9, "tail": (2, 17), "batch_first": True},
        {"lengths": (3, 1), "steps": 3, "tail": (0,)},
        {"lengths": tuple(range(1, 40)), "steps": 40, "tail": (65,)},
    ], [
        BadCall(lambda d: pack(on(d, 3, 2), (4, 1)), ValueError,
                "[pack_rows] expected input of 2 sequences and at least 4 steps, got shape (3, 2)"),
        BadCall(lambda d: pack(on(d, 3), (3,)), ValueError,
                "[pack_rows] expected input with at least 2 dimensions, got shape (3,)"),
    ], shape_only=("steps", "tail"), epsilons=0),
    OpCase("unpack_rows", unpack, lambda rng, **a: make_rows(rng, packed=True, **a), [
        {"lengths": (2, 5, 1), "steps": 5, "tail": (3,)},
        {"lengths": (2, 5, 1), "steps": 7, "tail": (), "batch_first": True, "padding": -1.5},
        {"lengths": tuple(range(1, 40)), "steps": 40, "tail": (65,), "batch_first": True},
    ], [
        BadCall(lambda d: unpack(on(d, 3, 2), (2, 1), 1), ValueError,
                "[unpack_rows] expected at least 2 steps, got 1"),
        BadCall(lambda d: unpack(on(d, 4, 2), (2, 1), 2), ValueError,
                "[unpack_rows] expected data of 3 rows, got shape (4, 2)"),
    ], shape_only=("tail",), epsilons=0),
]  # fmt: skip
