"""Sizes at which rows are whole sectors and tiles are full, for every case: what memory traffic is measured on.

At other sizes the ends of rows share sectors with the next, whatever a kernel does.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdl.testing import OpCase

Sizes = list[dict[str, Any]]

MAPS: Sizes = [{"shape": (2, 4, 16, 32)}]
PAIRS: Sizes = [{"a": (64, 128), "b": (64, 128)}, {"a": (64, 128), "b": (128,)}, {"a": (8, 8, 128), "b": (8, 1, 1)}]
TRIPLES: Sizes = [{"a": (64, 128), "b": (64, 128), "c": (64, 128)}, {"a": (64, 128), "b": (128,), "c": (64, 1)}]
WINDOWS = {"kernel_size": 2}
BAGS = {"rows": 64, "width": 64}
LINES = [{"shape": (32, 256), "dim": 1}, {"shape": (4, 64, 64), "dim": 1}, {"shape": (2, 8192), "dim": 1},
         {"shape": (1, 512, 64), "dim": 1}]  # fmt: skip
SEQUENCE = {"t": 3, "n": 32, "i": 64, "h": 64}
# A line in a tile of its own, lines in the keys' digits, and one that is sorted for its rank alone.
RANKED: Sizes = [{"shape": (4, 1024), "dim": 1}, {"shape": (4, 2048), "dim": 1}, {"shape": (1, 16384), "dim": 1}]

# By the name of the case, else by its room.
BY_CASE: dict[str, Sizes] = {
    "addcmul": TRIPLES,
    "addcdiv": TRIPLES,
    "lerp": TRIPLES,
    "threshold": [{"shape": (8192,), "low": 0.5}],
    "glu": [{"shape": (64, 256), "dim": 1}],
    "normal_float32": [{"n": 8192, "mean": 0.0, "std": 1.0}],
    "normal_float64": [{"n": 8192, "mean": 0.0, "std": 1.0}],
    "ramps": [{"shape": (1,), "function": "linspace", "args": (0, 1, 8192)}],
    "integer_ramps": [{"shape": (1,), "args": (8192,), "dtype": "int64"}],
    "histc": [{"shape": (8192,), "bins": 64, "min": 0, "max": 4}],
    "bincount": [{"shape": (8192,), "minlength": 64}],
    "prelu": [{"shape": (2, 8, 16, 32), "channels": 8}],
    "adaptive_avg_pool1d": [{"shape": (64, 128), "output_size": (64,)}],
    "adaptive_max_pool1d": [{"shape": (64, 128), "output_size": (64,)}],
    "avg_pool1d": [{"shape": (64, 128), **WINDOWS}],
    "box_iou": [{"n": 64, "m": 128}],
    "box_iou_of_images": [{"n": 64, "m": 128}],
    "generalized_box_iou": [{"n": 64, "m": 128}],
    "conv1d": [{"x": (2, 32, 128), "weight": (64, 32, 3), "padding": 1}],
    "conv_transpose1d": [{"x": (2, 32, 128), "weight": (32, 64, 2), "stride": 2}],
    "pairwise_distance": [{"x": (64, 128), "y": (64, 128)}],
    "cdist, near rows": [{"x": (128, 64), "y": (512, 64)}],
    "cast": [{"shape": (8192,)}],
    "embedding": [{"rows": 64, "width": 64, "index": (128,)}],
    "embedding_bwd_rows": [{"rows": 64, "width": 64, "index": (256,)}],
    "embedding_renorm": [{"rows": 64, "width": 64, "index": (32,), "max_norm": 2.0}],
    "embedding_bag": [*({**BAGS, "sizes": (16,) * 16, "mode": mode} for mode in ("sum", "mean", "max")),
                      {**BAGS, "sizes": (128,) * 4, "mode": "sum"}],
    "embedding_bag_weighted": [{"rows": 64, "width": 64, "sizes": (16,) * 16, "weighted": True}],
    "index_select": [{"shape": (64, 128), "dim": 0, "count": 64}],
    "index_add": [{"shape": (64, 128), "dim": 0, "count": 64, "source": True}],
    "gather": [{"shape": (8, 32, 64), "dim": 1, "index": (8, 16, 64)}],
    "scatter": [{"shape": (8, 32, 64), "dim": 1, "index": (8, 16, 64), "distinct": True, "source": True},
                {"shape": (8, 256, 64), "dim": 1, "index": (8, 16, 64), "distinct": True, "source": True}],
    "scatter_add": [{"shape": (8, 32, 64), "dim": 1, "index": (8, 16, 64), "distinct": True, "source": True}],
    "getitem": [{"shape": (64, 128), "item": np.arange(64)[::-1].copy()},
                {"shape": (64, 64, 32), "item": (np.arange(64), np.arange(64))}],
    "setitem": [{"shape": (64, 128), "item": np.arange(64)[::-1].copy()}],
    "masked_fill": [{"shape": (64, 128)}],
    "masked_select": [{"shape": (8192,)}],
    "nonzero": [{"shape": (64, 128), "dtype": "float32"}],
    "cumsum": LINES,
    "cumprod": LINES,
    "cummax": LINES,
    "cummin": LINES,
    "logcumsumexp": LINES,
    "flip": [{"shape": (64, 128), "dims": (0,)}, {"shape": (64, 128), "dims": (1,)}],
    "roll": [{"shape": (64, 128), "shifts": (8,), "dims": (1,)}],
    "pad_circular": [{"shape": (2, 32, 64), "pad": (8, 8)}],
    "diagonal": [],  # a number of each row, which is no pattern to measure
    "tril": [{"shape": (64, 128)}],
    "triu": [{"shape": (64, 128), "diagonal": 8}],
    "instance_norm": MAPS,
    "instance_norm_plain": MAPS,
    "instance_norm_moves_statistics": MAPS,
    "interpolate_linear": [{"shape": (2, 8, 64), "scale_factor": 2}],
    "box_convert": [{"n": 256, "in_fmt": "xywh", "out_fmt": "xyxy"}],
    "box_area": [{"n": 256}],
    "clip_boxes_to_image": [{"n": 256, "size": (60, 80)}],
    "encode_boxes": [{"n": 256}],
    "decode_boxes": [{"n": 256, "classes": 4}],
    "remove_small_boxes": [{"n": 256, "min_size": 9.5}],
    "bed_of_nails_unpool2d": [{"shape": (2, 4, 16, 32), "kernel_size": 2}],
    "sgd_step": [{"lengths": (4096, 2048), "states": 1, "momentum": 0.9}],
    "adagrad_step": [{"lengths": (4096, 2048), "states": 2}],
    "clip_norm": [{"lengths": (4096, 2048), "states": 0, "max_norm": 0.1}],
    "clip_value": [{"lengths": (4096, 2048), "states": 0, "limit": 0.5}],
    "median of all": [{"shape": (64, 128)}],
    "nanmedian of all": [{"shape": (64, 128)}],
    "nanmedian": RANKED,
    "bucketize": [{"shape": (1024,), "others": (256,)}],
    "quantile": [{"shape": (32, 256), "q": 0.3, "dim": 1}],
    "permute": [{"shape": (64, 128), "dims": (1, 0)}, {"shape": (8, 16, 64), "dims": (1, 0, 2)},
                {"shape": (2, 32, 4, 32), "dims": (0, 2, 3, 1)}],
    "expand": [{"shape": (1, 128), "to": (64, 128)}],
    "cat": [{"shapes": [(32, 128), (32, 128)], "dim": 0}, {"shapes": [(32, 64), (32, 64)], "dim": 1}],
    "stack": [{"shapes": [(64, 128), (64, 128)], "dim": 0}],
    "slice": [{"shape": (64, 128), "at": (slice(8, 40), slice(32, 96))}],
    "pad": [{"shape": (64, 128), "pad": (32, 32)}],
    "transpose": [{"shape": (32, 64, 32)}],
    "cosine_embedding_loss": [{"shape": (64, 128)}],
    "triplet_margin_loss": [{"shape": (64, 128)}],
    "multi_margin_loss": [{"shape": (64, 128)}],
    "matmul": [{"a": (128, 64), "b": (64, 128)}, {"a": (64, 64), "b": (64,)}, {"a": (64, 1024), "b": (1024, 64)}],
    "matmul_transposed": [{"m": 128, "n": 64, "k": 64, "trans_a": a, "trans_b": b} for a in (0, 1) for b in (0, 1)],
    "linear": [{"x": (128, 64), "out": 64}],
    "max_unpool1d": [{"shape": (64, 128), "pool": WINDOWS, **WINDOWS}],
    "max_unpool2d": [{"shape": (2, 4, 16, 32), "pool": WINDOWS, "dtype": "int32", **WINDOWS}],
    "max_unpool2d_anywhere": [{"shape": (2, 4, 8, 32), "output_size": (16, 64), **WINDOWS}],
    "nms": [{"n": 512, "iou_threshold": 0.3}, {"n": 1536, "iou_threshold": 0.3}],
    "nms_of_detections": [{"n": 512, "objects": 20, "iou_threshold": 0.5}],
    "batched_nms": [{"n": 512, "classes": 4, "iou_threshold": 0.3}],
    "soft_nms": [{"n": 128}],
    "pixel_shuffle": [{"shape": (2, 64, 8, 32), "upscale_factor": 2}],
    "pixel_unshuffle": [{"shape": (2, 16, 16, 64), "downscale_factor": 2}],
    "lstm_projected": [{**SEQUENCE, "p": 32}],
    "recurrent": [*({**SEQUENCE, "mode": mode} for mode in ("lstm", "gru", "rnn_tanh")),
                  {**SEQUENCE, "mode": "gru", "bidirectional": True}],
    "pack_rows": [{"lengths": (8,) * 8, "steps": 8, "tail": (64,)}],
    "unpack_rows": [{"lengths": (8,) * 8, "steps": 8, "tail": (64,)}],
    "roi_align": [{"shape": (1, 64, 16, 16), "k": 8, "output_size": 4}],
    "roi_pool": [{"shape": (1, 64, 16, 16), "k": 8, "output_size": 4}],
    "sort": [{"shape": (64, 32), "dim": 1}, *RANKED],
    "argsort": RANKED,
    "msort": [{"shape": (1024, 4)}],
    "topk": [{**a, "k": 32} for a in RANKED],
    "kthvalue": [{**a, "k": 32} for a in RANKED],
    "median": RANKED,
    "searchsorted": [{"shape": (1024,), "others": (256,)}],
    "unique": [{"shape": (64, 64)}],
}  # fmt: skip
BY_ROOM: dict[str, Sizes] = {
    "activation": [{"shape": (2, 8, 512)}],
    "adaptive_pool2d": [{"shape": (2, 4, 16, 64), "output_size": (8, 32)},
                        {"shape": (2, 4, 16, 64), "output_size": (6, 32)}],
    "avg_pool2d": [{"shape": (2, 4, 16, 64), **WINDOWS}],
    "batch_norm": MAPS,
    "conv2d": [{"x": (1, 32, 16, 32), "weight": (64, 32, 3, 3), "padding": 1},
               {"x": (1, 64, 16, 32), "weight": (64, 64, 1, 1)},
               {"x": (1, 8, 16, 32), "weight": (8, 1, 3, 3), "padding": 1, "groups": 8}],
    "conv_transpose2d": [{"x": (1, 32, 8, 32), "weight": (32, 32, 2, 2), "stride": 2}],
    "cross_entropy": [{"shape": (64, 128)}, {"shape": (64, 128), "weighted": True, "label_smoothing": 0.1}],
    "distance": [{"x": (1, 64, 64), "y": (1, 64, 64)}],
    "dropout": [{"shape": (64, 128), "p": 0.25}, {"shape": (64, 128), "p": 1.0}],
    "group_norm": [{"shape": (2, 8, 16, 32), "num_groups": 4}],
    "layer_norm": [{"shape": (32, 512)}],
    "local_response_norm": [{"shape": (2, 16, 8, 32), "size": 5}],
    "loss": [{"shape": (64, 128)}, {"shape": (64, 128), "reduction": "none"}],
    "max_pool2d": [{"shape": (2, 4, 16, 64), **WINDOWS}],
    "optimizer": [{"lengths": (4096, 2048), "states": 3}],
    "random": [{"n": 8192, "low": 0, "high": 9}],
    "reduce": [{"shape": (64, 512), "dim": 1}, {"shape": (64, 512), "dim": 0}],
    "softmax": [{"shape": (32, 512), "dim": 1}, {"shape": (32, 512), "dim": 0}, {"shape": (4, 2048), "dim": 1}],
    "upsample": [{"shape": (2, 4, 16, 32), "scale_factor": 2}],
}  # fmt: skip


def sizes_of(room: str, case: OpCase) -> Sizes:
    """Attributes of a case at aligned sizes; none for cases that fix their own inputs (special boxes, odd indices)."""
    if case.name in BY_CASE:
        return BY_CASE[case.name]
    if room == "elementwise":
        return PAIRS if "a" in case.sizes[0] else [{"shape": (8192,)}]
    return BY_ROOM.get(room, [])
