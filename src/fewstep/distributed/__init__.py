"""Several processes compute one meta-batch (internal)."""
