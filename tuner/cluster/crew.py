"""The workers of a study on Ray: who is where, who died and is started again, and how all are told to end."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tuner.cluster.shares import Share
from tuner.cluster.worker import Order, Place, Worker, terminate
from tuner.errors import InputError
from tuner.study import StudyFailed

_MOMENT = 0.5  # seconds that are waited for news at most
_STOP_SECONDS = 8.0  # for workers to keep what they train: what SIGTERM leaves this process, less a little
_SHORT_SECONDS = 60.0  # a worker that lived longer did not die of how it was started
_MOST_DEATHS = 5  # soon after the start, in a row
_LONGEST_PAUSE = 30.0
_PLACED_SECONDS = 15.0  # until it is said that a worker waits for its share

log = logging.getLogger("tuner")


@dataclass
class _Post:
    """A worker's place in the crew, which others take after it.

    Attributes:
        number: for people, from 1.
        actor: who has it; None while nobody does.
        call: what was asked of the actor and is not answered.
        place: where the actor is; None until it has begun.
        since: when that was, and before it when it was asked for.
        due: when it is filled, where nobody has it.
        deaths: in a row, each soon after its start.
        told: whether it was said that it waits for its share.
    """

    number: int
    actor: Any = None
    call: Any = None
    place: Place | None = None
    since: float = 0.0
    due: float = 0.0
    deaths: int = 0
    told: bool = False

    @property
    def is_placed(self) -> bool:
        """Whether somebody is at work."""
        return self.place is not None


class Crew:
    """The workers of a study.

    Args:
        order: what each shall do.
        share: what each gets of the cluster.
        workers: how many.
        say: takes a sentence for the user.
    """

    def __init__(self, order: Order, share: Share, workers: int, say: Callable[[str], None]) -> None:
        self._order, self._share, self._say = order, share, say
        timeout = order.options.timeout
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._posts = [_Post(number) for number in range(1, workers + 1)]
        self._is_done = False  # a worker says that nothing is left to begin

    def work(self) -> bool:
        """Start who is missing and wait a moment for news; whether anybody is at work, or will be.

        Raises:
            InputError: what a worker said of the user's input.
            StudyFailed: the first trials all failed, or workers die as soon as they are started.
        """
        for post in list(self._posts):
            self._look_after(post)
        calls = {post.call: post for post in self._posts if post.call is not None}
        if calls:
            ready, _ = ray.wait(list(calls), num_returns=len(calls), timeout=_MOMENT)
            for call in ready:
                self._hear(calls[call])
        elif self._posts:
            time.sleep(_MOMENT)
        return bool(self._posts)

    def stop(self) -> None:
        """Let all keep what they train and end; whoever has not after some seconds is ended."""
        told = [post for post in self._posts if post.place is not None]
        for post in told:
            self._terminate(post)
        if told:
            calls = [post.call for post in told]
            ray.wait(calls, num_returns=len(calls), timeout=_STOP_SECONDS)

    def dismiss(self) -> None:
        """End all at once."""
        for post in list(self._posts):
            self._close(post)

    def _look_after(self, post: _Post) -> None:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self._is_done = True
        if self._is_done and not post.is_placed:
            self._close(post)
        elif post.actor is None and time.monotonic() >= post.due:
            self._fill(post)
        elif post.actor is not None and not post.is_placed and time.monotonic() - post.since > _PLACED_SECONDS:
            self._tell_waiting(post)

    def _fill(self, post: _Post) -> None:
        """Ask Ray for a worker. It is not Ray that starts dead ones again: the user shall hear of it."""
        worker = ray.remote(Worker).options(**self._share.options, max_restarts=0, scheduling_strategy="SPREAD")
        post.actor, post.since = worker.remote(), time.monotonic()
        post.call = post.actor.place.remote()

    def _hear(self, post: _Post) -> None:
        try:
            answer = ray.get(post.call)
        except RayTaskError as error:
            if isinstance(error.cause, InputError | StudyFailed):
                raise self._located(error.cause, post) from None
            log.warning("%s", error)
            self._replace(post, f"{type(error.cause).__name__}: {error.cause}")
        except RayError as error:
            self._replace(post, _reason(error))
        else:
            self._take(post, answer)

    def _take(self, post: _Post, answer: Any) -> None:
        if isinstance(answer, Place):
            post.place, post.since = answer, time.monotonic()
            post.call = post.actor.run.remote(self._order_now())
        elif answer == "finished":
            self._is_done = True
            self._close(post)
        else:
            self._replace(post, "it was terminated")

    def _order_now(self) -> Order:
        """The order, with the time that is left."""
        if self._deadline is None:
            return self._order
        left = max(1.0, self._deadline - time.monotonic())
        return replace(self._order, options=replace(self._order.options, timeout=left))

    def _replace(self, post: _Post, reason: str) -> None:
        """Let another take a dead worker's post, after a pause that grows while they die young."""
        where = self._where(post)
        ray.kill(post.actor)
        if self._is_done:
            self._posts.remove(post)
            return
        now = time.monotonic()
        post.deaths = post.deaths + 1 if now - post.since < _SHORT_SECONDS else 1
        if post.deaths >= _MOST_DEATHS:
            raise StudyFailed(f"{post.deaths} workers died in a row soon after their start, the last{where}: {reason}")
        self._say(f"worker {post.number}{where} died ({reason}); another takes its place")
        post.due = now + min(2.0 ** (post.deaths - 1), _LONGEST_PAUSE)
        post.actor = post.call = post.place = None
        post.told = False

    def _close(self, post: _Post) -> None:
        if post.actor is not None:
            ray.kill(post.actor)
        self._posts.remove(post)

    def _terminate(self, post: _Post) -> None:
        if post.place is None:
            return
        there = NodeAffinitySchedulingStrategy(post.place.node, soft=False)
        ray.remote(terminate).options(num_cpus=0, scheduling_strategy=there).remote(post.place.process)

    def _tell_waiting(self, post: _Post) -> None:
        if not post.told:
            post.told = True
            self._say(f"worker {post.number} waits until Ray has {self._share} free")

    def _located(self, error: InputError | StudyFailed, post: _Post) -> InputError | StudyFailed:
        """What a worker said is wrong, and where: another machine may lack a file."""
        if isinstance(error, InputError):
            return InputError(f"{error.what} (worker {post.number}{self._where(post)})", error.value, error.fix)
        return error

    def _where(self, post: _Post) -> str:
        found = [node for node in ray.nodes() if post.place is not None and node["NodeID"] == post.place.node]
        return f" on {found[0]['NodeManagerAddress']}" if found else ""


def _reason(error: RayError) -> str:
    """Why an actor is lost: the first sentence on it of what Ray says."""
    if isinstance(error, ActorUnavailableError):
        return "it cannot be reached"
    text = str(error)
    found = re.search(r"because (.+?)(?:\.\s|\.?$)", text, re.MULTILINE)
    return found[1] if found else (text.strip() or "no reason is known").splitlines()[0]
