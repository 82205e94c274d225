"""Streams and events: what a GPU does at the same time, and in which order (`torch.cuda`).

Work of one stream runs in order. Streams know nothing of each other: who reads on one what another makes lets it wait
(`Stream.wait_stream`, `Event`). Memory of a tensor is reused on the stream that was current when the tensor was made;
a tensor that is used on another stream too says so (`Tensor.record_stream`).
"""

from __future__ import annotations

from types import ModuleType, TracebackType
from typing import Any

from ..tensor import device as device_name
from .module import module_of


class Stream:
    """A queue of work on a GPU (`torch.cuda.Stream`); `with stream:` makes it the current one of this thread.

    Args:
        device: "cuda" (default) or "emu".
        priority: -1 is served before 0.

    Streams come in turn from 32 of each priority, which live as long as the program.

    Raises:
        RuntimeError: without a GPU.

    >>> import fastdl
    >>> side = fastdl.cuda.Stream("emu")
    >>> with side:
    ...     x = fastdl.ones(3, device="emu")
    >>> fastdl.cuda.current_stream("emu").wait_stream(side)
    >>> x.sum().item()
    3.0
    """

    def __init__(self, device: Any = None, priority: int = 0) -> None:
        if not isinstance(priority, int):
            raise TypeError(f"[Stream] expected an int for priority, got {type(priority).__name__}")
        self._module = module_of(device)
        self.priority = -1 if priority < 0 else 0
        self.cuda_stream = int(self._module.new_stream(priority < 0))
        self._before: list[Stream] = []

    @classmethod
    def _at(cls, module: ModuleType, address: int) -> Stream:
        found = cls.__new__(cls)
        found._module, found.priority, found.cuda_stream, found._before = module, 0, int(address), []
        return found

    @property
    def device(self) -> device_name:
        return device_name(self._module.NAME)

    def query(self) -> bool:
        """Whether all its work is done."""
        return bool(self._module.stream_query(self.cuda_stream))

    def synchronize(self) -> None:
        """Waits until all its work is done."""
        self._module.stream_synchronize(self.cuda_stream)

    def wait_event(self, event: Event) -> None:
        """What this stream gets next begins when `event` has passed."""
        event.wait(self)

    def wait_stream(self, stream: Stream) -> None:
        """What this stream gets next begins when what `stream` has so far is done."""
        self._expect_same_device(stream)
        self._module.stream_wait_stream(self.cuda_stream, stream.cuda_stream)

    def record_event(self, event: Event | None = None) -> Event:
        """An event behind what this stream has so far."""
        event = event or Event()
        event.record(self)
        return event

    def _expect_same_device(self, other: Stream) -> None:
        if other._module is not self._module:
            raise ValueError(f"[cuda] expected streams of one device, got {self.device} and {other.device}")

    def __enter__(self) -> Stream:
        self._before.append(current_stream(self.device))
        set_stream(self)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        set_stream(self._before.pop())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self._module, self.cuda_stream) == (other._module, other.cuda_stream)

    def __hash__(self) -> int:
        return hash((self._module.NAME, self.cuda_stream))

    def __repr__(self) -> str:
        return f"<fastdl.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream of another library, by its address (`torch.cuda.ExternalStream`); it has to outlive its use here."""

    def __init__(self, stream_ptr: int, device: Any = None) -> None:
        if not isinstance(stream_ptr, int):
            raise TypeError(f"[ExternalStream] expected an int for stream_ptr, got {type(stream_ptr).__name__}")
        self._module, self.priority, self.cuda_stream, self._before = module_of(device), 0, stream_ptr, []


class Event:
    """A mark in a stream (`torch.cuda.Event`): others wait for it, and times between two are measured.

    Args:
        enable_timing: whether `elapsed_time` will be asked; events without it are cheaper.
        blocking: taken for the sake of PyTorch's programs.

    >>> import fastdl
    >>> start, end = (fastdl.cuda.Event(enable_timing=True) for _ in range(2))
    >>> start.record(fastdl.cuda.current_stream("emu"))
    >>> x = fastdl.ones(3, device="emu") * 2
    >>> end.record(fastdl.cuda.current_stream("emu")); end.synchronize()
    >>> start.elapsed_time(end) > 0
    True
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        if interprocess:
            raise NotImplementedError("[Event] expected interprocess=False, got True")
        self.enable_timing = bool(enable_timing)
        self._event: Any = None  # of the device of the stream where it is recorded first
        self._module: ModuleType | None = None

    @property
    def cuda_event(self) -> int:
        """Its address; 0 before it is recorded."""
        return 0 if self._event is None else int(self._event.address)

    def record(self, stream: Stream | None = None) -> None:
        """Marks the end of what a stream has so far; by default the current one of the GPU."""
        stream = stream or current_stream()
        if self._module is None:
            self._module = stream._module
            self._event = self._module.event(self.enable_timing)
        elif self._module is not stream._module:
            raise ValueError(f"[Event] expected a stream of {self._module.NAME}, got one of {stream.device}")
        self._event.record(stream.cuda_stream)

    def wait(self, stream: Stream | None = None) -> None:
        """What a stream gets next begins when this event has passed; nothing for one that was never recorded."""
        if self._module is None:
            return
        stream = stream or current_stream(self._module.NAME)
        if self._module is not stream._module:
            raise ValueError(f"[Event] expected a stream of {self._module.NAME}, got one of {stream.device}")
        self._event.wait(stream.cuda_stream)

    def query(self) -> bool:
        """Whether it has passed."""
        return True if self._event is None else bool(self._event.query())

    def synchronize(self) -> None:
        """Waits until it has passed."""
        if self._event is not None:
            self._event.synchronize()

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to `end_event`.

        Raises:
            ValueError: for events without `enable_timing`, or that were not recorded.
            RuntimeError: for events that have not passed.
        """
        if self._event is None or end_event._event is None:
            raise ValueError("[elapsed_time] expected events that were recorded, got one that was not")
        return float(self._event.milliseconds_to(end_event._event))

    def __repr__(self) -> str:
        return f"<fastdl.cuda.Event {self.cuda_event:#x}>"


def current_stream(device: Any = None) -> Stream:
    """The stream that this thread's work goes to."""
    module = module_of(device)
    return Stream._at(module, module.current_stream())


def default_stream(device: Any = None) -> Stream:
    """The stream that is current where no other was chosen."""
    return Stream._at(module_of(device), 0)


def set_stream(stream: Stream | None) -> None:
    """Makes a stream the current one of this thread; better: `with stream:`. None changes nothing."""
    if stream is None:
        return
    if not isinstance(stream, Stream):
        raise TypeError(f"[set_stream] expected a Stream, got {type(stream).__name__}")
    stream._module.set_stream(stream.cuda_stream)


class stream:
    """`with fastdl.cuda.stream(s):` makes `s` the current stream of this thread; None changes nothing
    (`torch.cuda.stream`).
    """

    def __init__(self, stream: Stream | None) -> None:
        if stream is not None and not isinstance(stream, Stream):
            raise TypeError(f"[stream] expected a Stream or None, got {type(stream).__name__}")
        self._stream = stream

    def __enter__(self) -> Stream | None:
        return self._stream.__enter__() if self._stream is not None else None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._stream is not None:
            self._stream.__exit__(kind, error, trace)
