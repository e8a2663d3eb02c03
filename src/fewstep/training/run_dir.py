"""What a run directory holds, and where."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fewstep.config import Config, read_config
from fewstep.errors import InputError
from fewstep.files import write_whole

MAY_CHANGE = ("steps", "device")
"""Settings of a run that may differ when it goes on."""


@dataclass(frozen=True)
class RunDir:
    """The files of one run."""

    path: Path

    @property
    def config(self) -> Path:
        """Everything that decides the result."""
        return self.path / "config.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: an outer step or a validation."""
        return self.path / "metrics.jsonl"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "last.safetensors"

    @property
    def best(self) -> Path:
        """The initialisation that was best in validation."""
        return self.path / "best.safetensors"

    @property
    def summary(self) -> Path:
        """The test result with its protocol."""
        return self.path / "summary.json"

    @property
    def tensorboard(self) -> Path:
        """The same metrics as event files."""
        return self.path / "tensorboard"

    @property
    def curve(self) -> Path:
        """Picture: accuracy or error by inner steps."""
        return self.path / "adaptation.png"

    @property
    def task(self) -> Path:
        """Picture: one test task with its predictions."""
        return self.path / "task.png"

    def open(self, config: Config) -> bool:
        """Claim the directory for a run of ``config``.

        Returns:
            Whether there is a checkpoint to go on from.

        Raises:
            InputError: It holds another run, or something that is no run at all.
        """
        if not self.config.exists():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise InputError(
                    f"{self.path} exists and is no run directory; choose another --run-dir"
                )
        else:
            self._check_same_run(config)
        self.write(self.config, config.to_json())
        return self.last.exists()

    def write(self, path: Path, text: str) -> None:
        """Write a text file whole."""
        write_whole(path, lambda part: _write_text(part, text))

    def write_json(self, path: Path, value: dict[str, Any]) -> None:
        """Write a JSON file whole."""
        self.write(path, json.dumps(value, indent=2) + "\n")

    def _check_same_run(self, config: Config) -> None:
        saved = read_config(self.config)
        for field in fields(Config):
            ours, theirs = getattr(config, field.name), getattr(saved, field.name)
            if ours != theirs and field.name not in MAY_CHANGE:
                raise InputError(
                    f"{self.path} holds a run with {field.name} = {theirs}, not {ours}; choose "
                    "another --run-dir, or the same settings to go on with it"
                )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
