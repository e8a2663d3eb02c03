"""Learners of an initialisation, and what they are compared with (internal)."""
