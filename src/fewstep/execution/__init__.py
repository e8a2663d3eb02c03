"""How a meta-batch is run: task by task, vectorised or compiled (internal)."""
