"""The mathematics: objectives, metrics, the inner loop and its derivatives (internal)."""
