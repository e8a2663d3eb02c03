"""Models and adaptation as files for other runtimes.

to_onnx: The adapted model, the meta-learned one, or adaptation itself for any ONNX runtime.
to_pt2: The same for ``torch.export``.
"""

from fewstep.export.onnx_file import to_onnx
from fewstep.export.pt2_file import to_pt2

__all__ = ["to_onnx", "to_pt2"]
