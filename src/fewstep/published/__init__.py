"""Results that are published: the papers', fewstep's own, and whether they agree (internal)."""
