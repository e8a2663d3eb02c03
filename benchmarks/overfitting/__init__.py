"""A validation loss that rises for good: the failure, its causes one by one, and the cure."""
