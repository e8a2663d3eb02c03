"""How well a learner adapts: means, intervals, a diagnosis (internal)."""
