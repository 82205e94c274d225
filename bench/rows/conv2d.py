"""Convolutions of the classic networks; "x" and "weight" are shapes."""

from bench.row import Row, torch
from tests.cases.conv2d import size


def forward(goal, batch, ins, rows, outs, kernel, stride=1, padding=None, groups=1):
    """A square image; half a kernel of padding unless told."""
    shape = (kernel, kernel) if isinstance(kernel, int) else kernel
    attributes = {"stride": stride, "padding": tuple(k // 2 for k in shape) if padding is None else padding}
    if groups > 1:
        attributes["groups"] = groups
    return Row("conv2d", size((batch, ins, rows, rows), (outs, ins // groups, *shape), **attributes), goal=goal)


ROWS = [
    # 3x3 at stride 1
    *(forward(2.1, batch, c, n, c, 3) for batch in (1, 8) for c, n in ((64, 224), (256, 56), (512, 28), (128, 28))),
    forward(1.4, 1, 512, 14, 512, 3),
    forward(1.1, 1, 512, 7, 512, 3),
    forward(1.9, 8, 512, 14, 512, 3),
    forward(1.4, 8, 512, 7, 512, 3),
    # first layers, strides, 1x1, long and grouped kernels
    forward(1.05, 1, 3, 224, 64, 3),
    forward(1.05, 1, 3, 224, 64, 7, stride=2),
    forward(1.05, 1, 128, 56, 256, 3, stride=2),
    forward(1.05, 1, 64, 56, 256, 1),
    forward(1.05, 1, 1024, 14, 256, 1),
    forward(1.05, 1, 32, 28, 96, 5),
    forward(1.3, 1, 128, 17, 192, (1, 7)),
    forward(1.3, 1, 160, 17, 160, (7, 1)),
    forward(1.05, 1, 384, 8, 384, (1, 3)),
    forward(1.05, 1, 3, 227, 96, 11, stride=4, padding=0),
    forward(1.05, 1, 96, 27, 256, 5, groups=2),
    # depthwise
    forward(1.2, 1, 256, 56, 256, 3, groups=256),
    forward(1.0, 1, 384, 14, 384, 3, groups=384),
    forward(1.0, 8, 512, 14, 512, 3, groups=512),
    forward(1.0, 1, 960, 7, 960, 3, groups=960),
    forward(1.0, 1, 384, 14, 384, 5, groups=384),
    Row("conv2d", size((128, 1, 28, 28), (32, 1, 3, 3)), goal=1.5),
    Row("conv2d", size((128, 32, 26, 26), (32, 32, 3, 3)), goal=1.8),
    Row("conv2d", size((128, 32, 12, 12), (16, 32, 3, 3)), goal=1.0),
    Row("conv2d", size((128, 16, 10, 10), (16, 16, 3, 3)), goal=1.0),
    # forward, input gradient and weight gradient
    Row("conv2d", size((8, 64, 56, 56), (64, 64, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((1, 64, 56, 56), (64, 64, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((8, 128, 28, 28), (128, 128, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((8, 512, 7, 7), (512, 512, 3, 3), padding=1), backward=True, goal=1.9),
    Row("conv2d", size((128, 32, 26, 26), (32, 32, 3, 3)), backward=True, goal=1.9),
    Row("conv2d", size((8, 256, 28, 28), (256, 256, 1, 1)), backward=True, goal=1.1),
    Row("conv2d", size((8, 128, 56, 56), (256, 128, 3, 3), stride=2, padding=1), backward=True, goal=1.1),
]
TORCH = {} if torch is None else {"conv2d": torch.nn.functional.conv2d}
