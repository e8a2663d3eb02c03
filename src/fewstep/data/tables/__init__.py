"""Tables as a source of tasks: files read, split by task, and drawn from. Internal."""
