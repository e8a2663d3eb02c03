"""A lock is held by one process, and by nobody once that has ended."""

import os

from fewstep.runtime.locks import hold


def test_a_lock_that_its_owner_removed_meanwhile(tmp_path, monkeypatch):
    path, opened = tmp_path / "lock", []
    real = os.open

    def removed_after_opening(*arguments):
        descriptor = real(*arguments)
        if not opened:
            path.unlink()
        opened.append(descriptor)
        return descriptor

    monkeypatch.setattr(os, "open", removed_after_opening)
    with hold(path) as lock:
        assert len(opened) == 2
        assert os.path.samestat(os.fstat(lock), path.stat())
