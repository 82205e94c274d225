"""Recurrent layers (`torch.nn.RNN`, `LSTM`, `GRU`) and their cells; parameters have PyTorch's names and layout."""

from __future__ import annotations

import math
from typing import Any

from .. import functional as F
from ..creation import empty, tensor, zeros
from ..functional.arguments import expect_probability
from ..functional.layout import cat, index, squeeze, unsqueeze
from ..functional.projected_lstm import lstm_projected
from ..functional.recurrent import pack_rows, recurrent, unpack_rows
from ..tensor import Tensor
from . import init
from .module import Module
from .parameter import Parameter
from .utils.rnn import PackedSequence, batch_sizes_of

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def _expect_size(value: Any, op: str, name: str) -> int:
    if not isinstance(value, int):
        raise TypeError(f"[{op}] expected an int for {name}, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"[{op}] expected {name} of at least 1, got {value}")
    return value


def _mode_of(nonlinearity: Any, op: str) -> str:
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(f"[{op}] expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
    return f"rnn_{nonlinearity}"


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, layers, directions, states, lengths."""

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0,
        device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        op = self._get_name()
        expect_probability(dropout, op)
        self.mode = mode
        self.input_size = _expect_size(input_size, op, "input_size")
        self.hidden_size = _expect_size(hidden_size, op, "hidden_size")
        self.num_layers = _expect_size(num_layers, op, "num_layers")
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        if not isinstance(proj_size, int):
            raise TypeError(f"[{op}] expected an int for proj_size, got {type(proj_size).__name__}")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"[{op}] expected proj_size of at least 0 and below {hidden_size}, got {proj_size}")
        self.bidirectional, self.proj_size = bidirectional, proj_size
        rows, width = GATES[mode] * hidden_size, self._width
        self._names: list[list[str]] = []
        for layer in range(num_layers):
            columns = input_size if layer == 0 else width * self._directions
            shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, width)}
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
            shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
            ends = [f"_l{layer}", f"_l{layer}_reverse"][: self._directions]
            self._names.append([name + end for end in ends for name in shapes])
            for name, shape in zip(self._names[-1], list(shapes.values()) * self._directions, strict=True):
                self.register_parameter(name, Parameter(empty(shape, dtype=dtype, device=device)))
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _width(self) -> int:
        """Numbers of h."""
        return self.proj_size or self.hidden_size

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """Parameters by layer and direction."""
        each = (4 if self.bias else 2) + (1 if self.proj_size else 0)
        flat = [[self._parameters[name] for name in names] for names in self._names]
        return [ws[i : i + each] for ws in flat for i in range(0, len(ws), each)]

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: kernels pack the weights themselves."""

    def _layers(
        self, x: Tensor, h_0: Tensor | None, c_0: Tensor | None, batch_sizes: Tensor | None, order: Tensor | None,
        batch_first: bool,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
        d = self._directions
        last_h: list[Tensor] = []
        last_c: list[Tensor | None] = []
        c_n: Tensor | None
        for layer, names in enumerate(self._names):
            if layer > 0 and self.dropout > 0:
                x = F.dropout(x, self.dropout, self.training)
            at = slice(layer * d, layer * d + d)
            h, c = (s if s is None or self.num_layers == 1 else index(s, at) for s in (h_0, c_0))
            weights = [self._parameters[name] for name in names]
            rest = (h, c, batch_sizes, order, self.bidirectional, batch_first)
            if self.proj_size:
                x, h_n, c_n = lstm_projected(x, weights, *rest)
            else:
                x, h_n, c_n = recurrent(x, weights, self.mode, *rest)
            last_h.append(h_n)
            last_c.append(c_n)
        if self.num_layers == 1:
            return x, last_h[0], last_c[0]
        return x, cat(last_h), None if last_c[0] is None else cat(last_c)  # type: ignore[arg-type]

    def _check_state(self, state: Any, name: str, width: int, batch: int, batched: bool) -> Tensor | None:
        if state is None:
            return None
        op = self._get_name()
        if not isinstance(state, Tensor):
            raise TypeError(f"[{op}] expected a Tensor for {name}, got {type(state).__name__}")
        layers = self.num_layers * self._directions
        shape = (layers, batch, width) if batched else (layers, width)
        if state.shape != shape:
            raise ValueError(f"[{op}] expected {name} of shape {shape}, got {state.shape}")
        return state if batched else unsqueeze(state, 1)

    def _check_input(self, x: Any, dims: tuple[int, ...]) -> None:
        op = self._get_name()
        if not isinstance(x, Tensor):
            raise TypeError(f"[{op}] expected a Tensor or PackedSequence for input, got {type(x).__name__}")
        if x.ndim not in dims:
            count = " or ".join(map(str, dims))
            raise ValueError(f"[{op}] expected input with {count} dimensions, got shape {x.shape}")
        if x.shape[-1] != self.input_size:
            raise ValueError(f"[{op}] expected input of {self.input_size} numbers a step, got shape {x.shape}")

    def _run(self, input: Any, h_0: Any, c_0: Any, lengths: Any) -> tuple[Any, Tensor, Tensor | None]:
        if isinstance(input, PackedSequence):
            return self._run_packed(input, h_0, c_0, lengths)
        self._check_input(input, (2, 3))
        batched, first = input.ndim == 3, self.batch_first
        x = input if batched else unsqueeze(input, 0 if first else 1)
        steps, batch = (x.shape[1], x.shape[0]) if first else x.shape[:2]
        h = self._check_state(h_0, "h_0", self._width, batch, batched)
        c = self._check_state(c_0, "c_0", self.hidden_size, batch, batched)
        if lengths is None:
            out, h_n, c_n = self._layers(x, h, c, None, None, first)
        else:
            op = self._get_name()
            sizes, order = batch_sizes_of(lengths, op)
            if len(order) != batch or len(sizes) > steps:
                expected = f"{batch} lengths of at most {steps}"
                raise ValueError(f"[{op}] expected {expected}, got {len(order)} of at most {len(sizes)}")
            batch_sizes, places = tensor(sizes, device=x.device), tensor(order, device=x.device)
            rows, h_n, c_n = self._layers(pack_rows(x, batch_sizes, places, first), h, c, batch_sizes, places, False)
            out = unpack_rows(rows, batch_sizes, places, first, steps)
        if batched:
            return out, h_n, c_n
        return squeeze(out, 0 if first else 1), squeeze(h_n, 1), None if c_n is None else squeeze(c_n, 1)

    def _run_packed(
        self, input: PackedSequence, h_0: Any, c_0: Any, lengths: Any
    ) -> tuple[PackedSequence, Tensor, Tensor | None]:
        op = self._get_name()
        if lengths is not None:
            raise ValueError(f"[{op}] expected no lengths with a PackedSequence, got some")
        self._check_input(input.data, (2,))
        batch = int(input.batch_sizes.tolist()[0])
        h = self._check_state(h_0, "h_0", self._width, batch, True)
        c = self._check_state(c_0, "c_0", self.hidden_size, batch, True)
        rows, h_n, c_n = self._layers(input.data, h, c, input.batch_sizes, input.sorted_indices, False)
        return input._replace(data=rows), h_n, c_n

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0),
            ("bidirectional", False),
        ):  # fmt: skip
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text


class RNN(RNNBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu, over sequences (`torch.nn.RNN`; Elman 1990).

    `rnn(input, h_0=None, lengths=None)` returns (output, h_n). Shapes: input (T, N, input_size), (N, T, input_size)
    with `batch_first`, (T, input_size) or a PackedSequence; output alike with D * hidden_size numbers a step, D = 2 if
    bidirectional, else 1; h_0 and h_n (num_layers * D, N, hidden_size). `lengths` (N integers, any order): output
    past the end of a sequence is zero, and h_n is the state at its end. `dropout` is between layers.

    >>> import fastdl
    >>> rnn = RNN(3, 5, num_layers=2)
    >>> [t.shape for t in rnn(fastdl.ones(7, 2, 3))], rnn
    ([(7, 2, 5), (2, 2, 5)], RNN(3, 5, num_layers=2))
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = "tanh", bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        mode = _mode_of(nonlinearity, "RNN")
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None, lengths: Any = None) -> tuple[Any, Tensor]:
        return self._run(input, hx, None, lengths)[:2]


class LSTM(RNNBase):
    """Long short-term memory (`torch.nn.LSTM`; Hochreiter and Schmidhuber 1997): gates i, f, g, o.

    `lstm(input, (h_0, c_0)=None, lengths=None)` returns (output, (h_n, c_n)); shapes and arguments as for RNN.
    With `proj_size` P above 0, h' = weight_hr (o tanh(c')) (`lstm_projected`): output has D * P numbers a step, h_0 and
    h_n (num_layers * D, N, P), c_0 and c_n hidden_size as before.

    Raises:
        ValueError: for a `proj_size` that is not below hidden_size, and shapes that do not fit together.

    >>> import fastdl
    >>> lstm = LSTM(3, 5, batch_first=True, bidirectional=True)
    >>> out, (h_n, c_n) = lstm(fastdl.ones(2, 7, 3), lengths=[4, 7])
    >>> out.shape, h_n.shape, out[0, 5].abs().sum().item()
    ((2, 7, 10), (2, 2, 5), 0.0)
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, proj_size: int = 0, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "lstm", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None, lengths: Any = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise TypeError(f"[LSTM] expected hx of two tensors, h_0 and c_0, got {type(hx).__name__}")
        h_0, c_0 = (None, None) if hx is None else hx
        out, h_n, c_n = self._run(input, h_0, c_0, lengths)
        return out, (h_n, c_n)  # type: ignore[return-value]


class GRU(RNNBase):
    """Gated recurrent unit (`torch.nn.GRU`; Cho et al. 2014): gates r, z, n; shapes and arguments as for RNN.

    >>> import fastdl
    >>> [t.shape for t in GRU(3, 5)(fastdl.ones(7, 3))]  # one sequence without a batch
    [(7, 5), (1, 5)]
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False,
        dropout: float = 0.0, bidirectional: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "gru", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )

    def forward(self, input: Any, hx: Tensor | None = None, lengths: Any = None) -> tuple[Any, Tensor]:
        return self._run(input, hx, None, lengths)[:2]


# ---- cells -----------------------------------------------------------------------------------------------------------


class _CellBase(Module):
    def __init__(self, gates: int, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: Any) -> None:
        super().__init__()
        op = self._get_name()
        self.input_size = _expect_size(input_size, op, "input_size")
        self.hidden_size = _expect_size(hidden_size, op, "hidden_size")
        self.bias = bias
        rows = gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        for name, shape in (shapes | {"bias_ih": (rows,), "bias_hh": (rows,)}).items():
            wanted = bias or name in shapes
            self.register_parameter(name, Parameter(empty(shape, dtype=dtype, device=device)) if wanted else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _zeros(self, input: Tensor) -> Tensor:
        return zeros(*input.shape[:-1], self.hidden_size, dtype=input.dtype, device=input.device)

    def _weights(self) -> list[Any]:
        # Without __getattr__, where four of them take as long as the smallest step's arithmetic.
        held = self._parameters
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [held[name] if name in held else getattr(self, name) for name in names]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else f", bias={self.bias}")


class RNNCell(_CellBase):
    """One step of an RNN: (N, input_size) or (input_size,), and h or None, to h' (`torch.nn.RNNCell`)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        _mode_of(nonlinearity, "RNNCell")
        super().__init__(1, input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        cell = F.rnn_tanh_cell if self.nonlinearity == "tanh" else F.rnn_relu_cell
        return cell(input, self._zeros(input) if hx is None else hx, *self._weights())

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


class LSTMCell(_CellBase):
    """One step of an LSTM: input and (h, c) or None to (h', c') (`torch.nn.LSTMCell`).

    >>> import fastdl
    >>> h, c = LSTMCell(3, 5)(fastdl.ones(2, 3))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(4, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        return F.lstm_cell(input, (self._zeros(input), self._zeros(input)) if hx is None else hx, *self._weights())


class GRUCell(_CellBase):
    """One step of a GRU: input and h or None to h' (`torch.nn.GRUCell`)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(3, input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return F.gru_cell(input, self._zeros(input) if hx is None else hx, *self._weights())
