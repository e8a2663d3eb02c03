"""The outer loop and all that surrounds it (internal)."""
