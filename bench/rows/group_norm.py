"""Group and instance normalisation: bound by one read and one write of memory."""

from bench.row import Row, torch

SHAPE = (8, 64, 112, 112)

ROWS = [
    Row(case, {"shape": SHAPE, **attributes}, backward=backward, goal=1.0)
    for case, attributes in (("group_norm", {"num_groups": 32}), ("instance_norm", {}))
    for backward in (False, True)
]
TORCH = {} if torch is None else {
    "group_norm": lambda x, w, b, num_groups: torch.nn.functional.group_norm(x, num_groups, w, b),
    "instance_norm": lambda x, w, b: torch.nn.functional.instance_norm(x, None, None, w, b),
}  # fmt: skip
