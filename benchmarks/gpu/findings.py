"""All that is known so far, in files that are written anew with each figure."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import versions


class Findings:
    """Figures of a table, and of what stands beside it.

    Args:
        out: The folder of the files.
        device: That was measured on.
    """

    def __init__(self, out: Path, device: str) -> None:
        self.device = device
        self.card = torch.cuda.get_device_name() if device == "cuda" else "no GPU"
        self.path = out / (self.card.lower().replace(" ", "-") + ".json")
        self._lock = threading.RLock()
        self._kernels = out / "kernels.txt"
        self.told: dict[str, Any] = {
            "machine": f"{self.card}, float32 without TF32",
            "versions": versions(),
            "best_rate": 0.0,
            "operations": {},
            "workloads": {},
            "precision": {},
            "parts": {},
        }
        out.mkdir(parents=True, exist_ok=True)

    def row(self, workload: str, library: str, **found: Any) -> None:
        """Add to a row of the table of a workload."""
        with self._lock:
            rows = self.told["workloads"].setdefault(workload, {})
            rows[library] = rows.get(library, {}) | found
            self._write()

    def precision(self, workload: str, precision: str, **found: Any) -> None:
        """Add to what is known of a precision."""
        with self._lock:
            row = self.told["precision"].setdefault(workload, {}).setdefault(precision, {})
            row |= found
            self._write()

    def rows(self, workload: str) -> dict[str, dict[str, Any]]:
        """Those of the table of a workload."""
        with self._lock:
            return dict(self.told["workloads"].get(workload, {}))

    def part(self, name: str, **found: Any) -> None:
        """Add to what is known beside the table."""
        with self._lock:
            parts = self.told["parts"]
            parts[name] = parts.get(name, {}) | found
            self._write()

    def limit(self, workload: str, operations: int) -> None:
        """Keep how many operations a workload is."""
        with self._lock:
            self.told["operations"][workload] = operations
            self._write()

    def kernels(self, name: str, text: str) -> None:
        """Keep which kernels took longest."""
        with self._lock, self._kernels.open("a") as file:
            file.write(f"{name}: {text}\n\n")

    def _write(self) -> None:
        self.path.write_text(json.dumps(self.told, indent=2) + "\n")
