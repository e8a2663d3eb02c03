"""Adapted models as objects and as folders, and the estimators of scikit-learn (internal)."""
