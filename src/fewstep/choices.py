"""The words that a setting may be, where they are no keys of a registry; imports no PyTorch."""

from typing import Literal

Split = Literal["train", "val", "test"]
Budget = Literal["fast", "paper"]  # of a recipe: a short schedule, or the paper's own
Norm = Literal["transductive", "inductive"]  # batch norm of queries: by them, or the support
Order = Literal["exact", "first"]  # with the derivative of the inner gradient, or without
Memory = Literal["fast", "flat"]
Execution = Literal["auto", "loop", "vectorised", "chunked", "captured"]
Precision = Literal["float32", "tf32", "bf16"]
Adapting = Literal["all", "head", "body", "context"]
InnerOptimizerName = Literal["sgd", "momentum", "adam"]
OptimizerName = Literal["adam", "muon"]  # of the outer loop
StepSizes = Literal["fixed", "per-step", "per-element"]
HeadRows = Literal["separate", "shared"]
NewHead = Literal["random", "zeros"]
Downsample = Literal["stride", "max-pool"]
ModelNorm = Literal["batch", "group", "none"]
What = Literal["adapted", "meta-learned", "adaptation"]  # is exported
