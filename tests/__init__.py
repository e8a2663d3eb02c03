"""A package by name, since an installed one of the same name would hide a folder without this."""
