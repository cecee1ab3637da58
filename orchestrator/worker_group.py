"""The workers of one trial: in the trial's own process if there is one, else actors in the trial's placement group."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

import ray
from ray.exceptions import RayActorError
from ray.util.placement_group import get_current_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from orchestrator.attempt_log import AttemptLog
from orchestrator.remote_errors import text_of_errors
from orchestrator.sweep import WorkerConfig
from orchestrator.user_code import UserCode
from trainables.loop import LoopWorker
from trainables.parallel import free_address, join_group
from trainables.worker import Worker

_DEATH_SHOWS_S = 5
"""The others hear of a rank's death by its connections at once, Ray a little later."""

Start = dict[str, Any]
"""The arguments of `begin` of a Worker, which may be a StudentWorker, or of a LoopWorker; the config tells which."""


class WorkerGroup(Protocol):
    """All workers of a trial, in lockstep. Kept from trial to trial."""

    def begin(self, job: Mapping[str, Any]) -> None: ...

    def epoch(self) -> dict[str, Any]: ...

    def leave(self) -> None: ...

    def close(self) -> None: ...


class InlineGroup:
    """One worker, in this process."""

    def __init__(self, start: Start) -> None:
        self._worker = _worker_class(start)()

    def begin(self, job: Mapping[str, Any]) -> None:
        self._worker.begin(**job["start"])

    def epoch(self) -> dict[str, Any]:
        return self._worker.epoch()

    def leave(self) -> None:
        """Nothing of a trial goes on after its epochs."""

    def close(self) -> None:
        """Nothing is held outside this process."""


class LoopGroup:
    """A loop of the user's own, in a thread of this process."""

    def __init__(self) -> None:
        self._worker = LoopWorker()

    def begin(self, job: Mapping[str, Any]) -> None:
        self._worker.begin(**{name: value for name, value in job["start"].items() if name not in ("save_at", "mode")})
        self._worker.keep_best(job["start"].get("mode", ""))

    def epoch(self) -> dict[str, Any]:
        return self._worker.epoch()

    def leave(self) -> None:
        """Unwinds the loop of the trial before, which may wait in `report`, however long that takes."""
        self._worker.close(wait=None)

    def close(self) -> None:
        self._worker.close()


class Rank:
    """One of several workers, as an actor."""

    @text_of_errors
    def address(self) -> str:
        """Where rank 0 will listen, at the address by which Ray's other nodes know this one."""
        host: str = ray.util.get_node_ip_address()
        return free_address(host)

    @text_of_errors
    def join(self, rank: int, size: int, address: str, job: Mapping[str, Any]) -> None:
        self._log = AttemptLog() if "log" in job else None
        UserCode.of(job["code"]).enter()
        if address.startswith("127."):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        self._worker = _worker_class(job["start"])(join_group(rank, size, address))

    @text_of_errors
    def begin(self, job: Mapping[str, Any]) -> None:
        if self._log:
            self._log.begin(job["trial"], job["log"], owns=False)
        UserCode.of(job["code"]).enter()
        self._worker.begin(**job["start"])

    @text_of_errors
    def epoch(self) -> dict[str, Any]:
        report = self._worker.epoch()
        if self._log:
            self._log.publish(last=True)
        return report


class ActorGroup:
    """Ranks 0 to n-1 as actors, each in a bundle of the trial's placement group, joined by torch's process group."""

    def __init__(self, config: WorkerConfig, job: Mapping[str, Any]) -> None:
        group = get_current_placement_group()
        if group is None:
            raise RuntimeError("a group of workers needs the placement group of its trial")
        actor: Any = ray.remote(num_cpus=config.cpus, num_gpus=config.gpus)(Rank)
        self._actors: list[Any] = [
            actor.options(scheduling_strategy=PlacementGroupSchedulingStrategy(group, rank)).remote()
            for rank in range(config.count)
        ]
        address = ray.get(self._actors[0].address.remote())
        self._call("join", [(rank, config.count, address, job) for rank in range(config.count)])

    def begin(self, job: Mapping[str, Any]) -> None:
        self._call("begin", [(job,)] * len(self._actors))

    def epoch(self) -> dict[str, Any]:
        """Rank 0's metrics; they are the whole group's."""
        metrics: dict[str, Any] = self._call("epoch", [()] * len(self._actors))[0]
        return metrics

    def leave(self) -> None:
        """Nothing of a trial goes on after its epochs."""

    def close(self) -> None:
        for actor in self._actors:
            ray.kill(actor)

    def _call(self, method: str, arguments: list[tuple[Any, ...]]) -> list[Any]:
        """Calls every rank; where one fails, that is raised soon, whatever the others wait for."""
        calls = [getattr(actor, method).remote(*args) for actor, args in zip(self._actors, arguments, strict=True)]
        waiting = calls
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1)
            try:
                ray.get(done)
            except Exception as error:
                raise _root(error, waiting) from None
        return ray.get(calls)


def _root(error: Exception, others: list[Any]) -> Exception:
    """What one rank failed of, or the death of another that shows in a moment: the first then lost its connection."""
    waiting = others
    while waiting and not isinstance(error, RayActorError):
        done, waiting = ray.wait(waiting, num_returns=1, timeout=_DEATH_SHOWS_S)
        if not done:
            break
        try:
            ray.get(done)
        except RayActorError as death:
            return death
        except Exception:
            continue  # a consequence as well, or the same error
    return error


def make_group(config: WorkerConfig, job: Mapping[str, Any]) -> WorkerGroup:
    """The workers of a trial, of which `job` is as for TorchTrial."""
    if "loop" in job["start"]["config"]:
        return LoopGroup()
    return InlineGroup(job["start"]) if config.count == 1 else ActorGroup(config, job)


def _worker_class(start: Start) -> type[Worker]:
    if "student" not in start["config"]:
        return Worker
    from trainables.compress import StudentWorker  # imports what prunes and exports, which other trials have no use for

    return StudentWorker
