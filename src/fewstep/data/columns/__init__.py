"""Columns of a table: their kinds, and the features that they become. Internal."""
