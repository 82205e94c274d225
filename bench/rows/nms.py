"""Non-maximum suppression of boxes all over an image, and of several boxes an object."""

from bench.row import Row, torchvision

ROWS = [
    Row("nms", {"n": 1000, "iou_threshold": 0.5}, goal=25),
    Row("nms", {"n": 5000, "iou_threshold": 0.5}, goal=100),
    Row("nms", {"n": 20000, "iou_threshold": 0.5}, goal=250),
    Row("nms_of_detections", {"n": 20000, "objects": 300, "iou_threshold": 0.5}),
    Row("batched_nms", {"n": 5000, "classes": 80, "iou_threshold": 0.5}, goal=25),
    Row("soft_nms", {"n": 5000, "method": "linear"}),
    Row("soft_nms", {"n": 5000, "method": "gaussian"}),
]
TORCH = {} if torchvision is None else {
    "nms": torchvision.ops.nms,
    "nms_of_detections": torchvision.ops.nms,
    "batched_nms": torchvision.ops.batched_nms,
}  # fmt: skip
