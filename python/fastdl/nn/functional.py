"""`fastdl.functional` where PyTorch has it: `import fastdl.nn.functional as F`.

>>> import fastdl
>>> import fastdl.nn.functional as F
>>> F.relu(fastdl.tensor([-1.0, 2.0])).tolist()
[0.0, 2.0]
"""

from ..functional import *  # noqa: F403
from ..functional import __all__  # noqa: F401
