"""Networks of the few-shot literature."""
