"""One thread that writes to MLflow behind the loop, in batches, and never lets an error out."""

import contextlib
import math
import queue
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from tuner.tracking.client import belongs_to_one_run, connect, log
from tuner.tracking.drafts import Drafts, Event, Pictures, Step, StudyEnd, StudyStart, fold
from tuner.tracking.records import Company, Picture
from tuner.tracking.repair import describe_parent, open_experiment, open_parent, show_known
from tuner.tracking.runs import STATE, TrialRuns
from tuner.tracking.uri import without_credentials, without_secrets

_PAUSES = (0.25, 1.0)
_REST = 20  # times the processor time that writing took until it writes again: training needs the processor more
_MOST_REST = 10.0  # seconds
_LOOK = 0.2  # seconds from one look at what is written to the next
_STATUS = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


def _after(seconds: float | None) -> float:
    """The moment of ``time.monotonic()`` after so many seconds; never where there are none."""
    return math.inf if seconds is None else time.monotonic() + seconds


def rest(flush_seconds: float, used: float) -> float:
    """Seconds until trials are written again, after writing them used so many of the processor."""
    return max(flush_seconds, min(_REST * used, _MOST_REST))


class StudyWriter:
    """Writes steps to MLflow, one study at a time. A step that failed can be written again: it goes on.

    Attributes:
        parent: the study's run.
        runs: those of its trials.
        written: how many runs were written, some of them several times.
    """

    def __init__(self, tracking_uri: str, company: Company | None = None) -> None:
        self._uri, self._company = tracking_uri, company
        self._client: Any = None
        self._token: object = None
        self._start: StudyStart | None = None
        self._missing = Drafts()
        self.parent: str | None = None
        self.runs: TrialRuns | None = None
        self.written = 0

    def write(self, step: Step) -> Exception | None:
        """Write a step. An error that concerns one trial only is returned, and the other trials are written."""
        if isinstance(step, StudyStart) and step.token is not self._token:
            self._token, self._start = step.token, step
            self.parent, self.runs, self._missing = None, None, Drafts()
        runs = self._opened()
        problem = self._write_trials(runs, self._missing)
        if isinstance(step, Drafts):
            problem = self._write_trials(runs, step) or problem
        if isinstance(step, Pictures):
            problem = self._show(step.pictures) or problem
        if isinstance(step, StudyEnd):
            problem = self._complete(runs) or problem
            metrics = [(key, value, step.moment, 0) for key, value in step.metrics.items()]
            log(self._client, str(self.parent), metrics, tags={STATE: step.outcome})
            self._client.set_terminated(self.parent, _STATUS[step.outcome], step.moment)
            problem = self._show(step.pictures) or problem
        return problem

    def _opened(self) -> TrialRuns:
        """The study's runs; opens the study, also when that failed before."""
        if self.runs is not None:
            return self.runs
        if self._start is None:
            raise RuntimeError("no study has started")
        with nullcontext() if self._company is None else self._company.exclusive():
            return self._open(self._start)

    def _open(self, start: StudyStart) -> TrialRuns:
        self._client = self._client or connect(self._uri)  # which may make MLflow's tables
        experiment_id = open_experiment(self._client, start.study.experiment)
        parent = open_parent(self._client, experiment_id, start.study)
        self.parent = str(parent.info.run_id)
        self._start = replace(start, study=replace(start.study, run_id=self.parent))
        describe_parent(self._client, parent, start.study)
        runs = TrialRuns(self._client, experiment_id, self.parent, start.study.study)
        if self._company is None:
            self._missing = show_known(self._client, experiment_id, self.parent, runs, start.known, start.known)
        elif self._company.alone():
            now = self._company.finished()
            self._missing = show_known(self._client, experiment_id, self.parent, runs, start.known, now)
        self._start, self.runs = replace(self._start, known=()), runs
        return runs

    def _show(self, pictures: Sequence[Picture]) -> Exception | None:
        """Write pictures. What cannot be drawn is returned, and the others are written."""
        problem: Exception | None = None
        with tempfile.TemporaryDirectory() as folder:
            for picture in pictures:
                try:
                    Path(folder, picture.name).write_bytes(picture.content())
                except Exception as error:  # noqa: BLE001  whatever a study holds that nobody has drawn yet
                    problem = error
            if any(Path(folder).iterdir()):
                self._client.log_artifacts(self.parent, folder)
        return problem

    def _complete(self, runs: TrialRuns) -> Exception | None:
        """Have each finished trial shown once, whoever ran it: the last worker leaves."""
        if self._company is None:
            return None
        finished = self._company.finished()
        if len(runs.ids) == len(finished):
            return None
        missing = show_known(self._client, runs.experiment_id, runs.parent, runs, finished, finished)
        return self._write_trials(runs, missing)

    def _write_trials(self, runs: TrialRuns, drafts: Drafts) -> Exception | None:
        problem: Exception | None = None
        for number, draft in list(drafts.waiting.items()):
            try:
                runs.write(number, draft)
            except Exception as error:
                if not belongs_to_one_run(error):
                    raise
                problem = error
            del drafts.waiting[number]
            self.written += 1
        return problem


class BackgroundWriter:
    """The queue and its thread.

    Args:
        tracking_uri: MLflow's.
        flush_seconds: how long events are collected before they are written; longer where writing takes long.
        company: the other workers of the study.

    Attributes:
        problem: the last problem, in words.
        seconds: that the thread spent on writing.
        study: what is written so far.
    """

    def __init__(self, tracking_uri: str, flush_seconds: float, company: Company | None = None) -> None:
        self._uri, self._flush_seconds = tracking_uri, flush_seconds
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._closing, self._hurried = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._failing = False
        self.problem: str | None = None
        self.seconds = 0.0
        self.study = StudyWriter(tracking_uri, company)

    def put(self, event: Event) -> None:
        """Have an event written soon. Returns at once. What comes after ``close`` is dropped."""
        if self._closing.is_set():
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="tuner-tracking", daemon=True)
            self._thread.start()
        self._queue.put(event)

    def hurry(self) -> None:
        """Write what waits and what comes without rest from now on: nobody trains any more."""
        self._hurried.set()

    def close(self, timeout: float | None, idle: float | None = None) -> None:
        """Write what waits, then stop.

        Args:
            timeout: seconds after which the rest is given up.
            idle: seconds in which nothing could be written, after which it is given up too.
        """
        self._closing.set()
        self.hurry()
        if self._thread is None:
            return
        self._queue.put(None)
        deadline, patience, seen = _after(timeout), math.inf, -1
        while self._thread.is_alive() and time.monotonic() < deadline:
            if self.study.written != seen:
                seen, patience = self.study.written, _after(idle)
            if time.monotonic() > patience:
                break
            self._thread.join(min(deadline - time.monotonic(), _LOOK))
        if self._thread.is_alive():
            why = f"in {timeout:g} seconds" if time.monotonic() >= deadline else f"for {idle:g} seconds"
            self.problem = f"MLflow at {without_credentials(self._uri)}: what was left could not be written {why}"

    def _run(self) -> None:
        open_, pause = True, self._flush_seconds
        while open_:
            events = [self._queue.get()]
            if events[0] is not None:
                self._hurried.wait(pause)
            with contextlib.suppress(queue.Empty):
                while True:
                    events.append(self._queue.get_nowait())
            open_ = None not in events
            began, used = time.monotonic(), 0.0
            for step in fold(event for event in events if event is not None):
                before = time.thread_time()
                self._deliver(step)
                used += time.thread_time() - before if isinstance(step, Drafts) else 0.0
            self.seconds += time.monotonic() - began
            pause = rest(self._flush_seconds, used)

    def _deliver(self, step: Step) -> None:
        """Write a step, trying again after a pause; once only while MLflow has been failing. Then it is dropped."""
        pauses = () if self._failing else _PAUSES
        for pause in (0.0, *pauses):
            time.sleep(pause)
            self._failing = not self._try(step)
            if not self._failing:
                return

    def _try(self, step: Step) -> bool:
        """Try to write a step: whether MLflow took it, but for what it would not take at a second try either."""
        try:
            problem, taken = self.study.write(step), True
        except Exception as error:  # noqa: BLE001  whatever it is, the study goes on
            problem, taken = error, False
        if problem is not None:
            self.problem = self._words(problem)
        return taken

    def _words(self, error: Exception) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        text = without_secrets(text, self._uri)[:300]
        return f"MLflow at {without_credentials(self._uri)} could not be written: {text}"
