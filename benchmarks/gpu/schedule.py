"""Jobs that prepare beside one another, and are timed one after another, alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import Protocol

from benchmarks.clock import Clock

ROUNDS = 0.5, 0.8, 0.97
"""Shares of the time. At the end of each what is ready is timed while all else stands still."""


class Job(Protocol):
    """Something to be measured.

    Attributes:
        name: For messages.
        limit: The most seconds that it may have alone.
    """

    name: str
    limit: float

    def prepare(self) -> None:
        """Do what may be done while others compute."""

    def alone(self) -> None:
        """Do what is timed."""

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to all processes of the job."""

    def stop(self) -> None:
        """End them; whoever waits for them is told."""

    def failed(self, why: str) -> None:
        """Keep the reason why something is missing."""


def run(jobs: Sequence[Job], clock: Clock, at_once: int) -> None:
    """Run jobs, the most important ones first, until the time is over.

    Args:
        jobs: None of which stops another, by failing or by being late.
        clock: The time that there is.
        at_once: How many prepare beside one another.
    """
    pool = ThreadPoolExecutor(at_once)
    prepared = {job.name: pool.submit(_tried, job, job.prepare) for job in jobs}
    waiting = list(jobs)
    for share in ROUNDS:
        wait_for([prepared[job.name] for job in waiting], timeout=clock.left(share))
        ready = [job for job in waiting if prepared[job.name].done()]
        waiting = [job for job in waiting if job not in ready]
        _all(waiting, signal.SIGSTOP)
        for job in ready:
            _time(job, prepared[job.name], clock)
        _all(waiting, signal.SIGCONT)
    for job in waiting:
        job.failed("not ready in time")
        job.stop()
    pool.shutdown(cancel_futures=True)


def _time(job: Job, prepared: Future[bool], clock: Clock) -> None:
    began = clock.passed()
    if prepared.result() and clock.left() > 0:
        thread = threading.Thread(target=_tried, args=(job, job.alone), daemon=True)
        thread.start()
        thread.join(min(job.limit, clock.left()))
        if thread.is_alive():
            job.failed(f"not done after {clock.passed() - began:.0f} s alone")
    elif not clock.left():
        job.failed("no time was left")
    job.stop()
    print(f"{began:5.0f} to {clock.passed():3.0f} s: {job.name}", flush=True)


def _all(jobs: Sequence[Job], what: signal.Signals) -> None:
    for job in jobs:
        job.signal(what)


def _tried(job: Job, function: Callable[[], None]) -> bool:
    try:
        function()
    except Exception as error:
        job.failed(f"{type(error).__name__}: {error}".split("\n")[0][:300])
        return False
    return True
