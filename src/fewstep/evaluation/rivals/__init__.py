"""Ordinary models that answer for the same unseen tasks from the same rows (internal)."""
