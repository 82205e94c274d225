"""TensorBoard's writer under PyTorch's address: `from fastdl.utils.tensorboard import SummaryWriter`.

It is tensorboardX's (`pip install "fastdl[tensorboard]"`); give it numbers (`loss.item()`) and NumPy arrays.
"""

try:
    from tensorboardX import SummaryWriter
except ImportError as error:
    raise ImportError("[SummaryWriter] expected tensorboardX (pip install tensorboardX), got none") from error

__all__ = ["SummaryWriter"]
