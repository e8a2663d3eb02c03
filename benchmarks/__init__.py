"""Speed and memory beside other libraries: ``make bench``."""

MEMORY_KEPT = ", memory kept"
"""Ends the name of a library that is run after `fewstep.keep_memory`, as all of fewstep is."""
