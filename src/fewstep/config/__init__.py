"""The settings of a run: their ranges, their file, the recipes (internal)."""
