"""The IoU matrix: 16 MB from 64 KB."""

from bench.row import Row, torchvision

ROWS = [Row("box_iou_of_images", {"n": 2000, "m": 2000}, goal=40)]
TORCH = {} if torchvision is None else {"box_iou_of_images": lambda a, b, **_: torchvision.ops.box_iou(a, b)}
