"""RoI pooling of 1000 proposals on the map of a detector's backbone."""

from bench.row import Row, torchvision

SHAPE = {"shape": (1, 256, 50, 68), "k": 1000, "output_size": 7, "spatial_scale": 0.0625}

ROWS = [
    Row("roi_pool_of_an_image", SHAPE, goal=10, channels_last=False),
    Row("roi_pool_of_an_image", SHAPE, backward=True, goal=5, channels_last=False),
]
TORCH = {} if torchvision is None else {"roi_pool_of_an_image": torchvision.ops.roi_pool}
