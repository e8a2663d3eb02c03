"""Scripts that no other test imports find the names that they ask for."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# They start at once, or need what a browser needs.
LEFT_OUT = {"benchmarks.worker", "scripts.animation", "scripts.demo_browser", "scripts.strokes"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for folder in ("benchmarks", "scripts")
    for path in (ROOT / folder).rglob("*.py")
    if not path.stem.startswith("__") and "node_modules" not in path.parts
}


@pytest.mark.parametrize("name", sorted(MODULES - LEFT_OUT))
def test_a_script_is_imported(name):
    import_module(name)
