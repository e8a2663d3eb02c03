"""Pictures, tables and summaries of results (internal)."""
