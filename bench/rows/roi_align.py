"""RoIAlign of 1000 proposals on the map of a detector's backbone."""

from bench.row import Row, torchvision

SHAPE = {"shape": (1, 256, 50, 68), "k": 1000, "output_size": 7, "spatial_scale": 0.0625}

ROWS = [
    Row("roi_align_of_an_image", {**SHAPE, "sampling_ratio": 2}, goal=10, channels_last=False),
    Row("roi_align_of_an_image", {**SHAPE, "sampling_ratio": 2}, backward=True, goal=30, channels_last=False),
    Row("roi_align_of_an_image", {**SHAPE, "sampling_ratio": -1, "aligned": True}, goal=10, channels_last=False),
]
TORCH = {} if torchvision is None else {"roi_align_of_an_image": torchvision.ops.roi_align}
