"""`--launcher ray`: runs on the nodes of a Ray cluster, which share no disk with this machine or each other."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import Timeout as LockTimeout

from gptexp.errors import GptexpError, read_first_line
from gptexp.machine import count_cores
from gptexp.studies.agent import Agent, Named
from gptexp.studies.initial import pack_initial
from gptexp.studies.job import Job
from gptexp.studies.keeper import find_resumable
from gptexp.studies.launchers import JobEnd, JobEvent, JobFunction, Needs, Notice
from gptexp.studies.luggage import Piece, pack_run, write_home
from gptexp.studies.resolve import read_run_tokens
from gptexp.studies.results import hold_run
from gptexp.tracking.run_dir import RunDir
from gptexp.training.device import find_gpus

POLL_S = 0.2
LARGEST_LOSSES = 10
"""Nodes that a run may lose before it counts as failed: what it has is at home, and it goes on elsewhere."""


@dataclass
class _Errand:
    """A job that is out."""

    job: Job
    hold: contextlib.ExitStack
    """The run's lock at home."""
    agent: Any = None
    losses: int = 0
    was_asked: bool = False


class RayLauncher:
    """Runs on a Ray cluster. Each run's folder is carried to its node, and home what is written there."""

    shares_disk = False
    is_elsewhere = True

    def __init__(self, n_workers: int, *, address: str | None = None, gpus_per_run: float | None = None) -> None:
        """Args:
        address: of a cluster that is there; None starts one of this machine, which ends with the launch.
        gpus_per_run: GPUs, or the share of one, of each run; None takes what the runs need.

        Raises:
            GptexpError: Ray isn't installed.
        """
        try:
            import ray  # noqa: F401
        except ImportError:
            raise GptexpError('--launcher ray needs Ray; pip install "gptexp[ray]"') from None
        self._n_workers, self._address, self._gpus_per_run = n_workers, address, gpus_per_run
        self._told: queue.SimpleQueue[tuple[_Errand, Any]] = queue.SimpleQueue()
        self._out: list[_Errand] = []
        self._sent: dict[str, Any] = {}
        self._stopping = False

    def launch(self, function: JobFunction, jobs: Sequence[Any]) -> Iterator[JobEvent | JobEnd]:
        """Yields each run's events and its end. A run whose node is lost goes on at another one."""
        waiting = deque(_Errand(job, contextlib.ExitStack()) for job in jobs)
        if not waiting:
            return
        with self._join_cluster(jobs):
            try:
                while self._out or (waiting and not self._stopping):
                    self._send_out(function, waiting)
                    self._pass_on_stop()
                    with contextlib.suppress(queue.Empty):
                        yield from self._receive(*self._told.get(timeout=POLL_S), waiting)
            finally:
                self._recall()

    def stop(self) -> None:
        self._stopping = True

    def kill(self) -> None:
        self._recall()

    def _needs(self, job: Job) -> Needs:
        """What a run takes; the share of a GPU that was asked for goes before its own need."""
        gpus = self._gpus_per_run if job.needs.gpus and self._gpus_per_run else job.needs.gpus
        return replace(job.needs, gpus=gpus)

    @staticmethod
    @contextlib.contextmanager
    def open_cluster(address: str | None) -> Iterator[str]:
        """A cluster that launchers of several processes work on: the one at `address`, else one of this machine.

        Yields:
            Its address.
        """
        import ray

        if address is not None:
            yield address
            return
        with _connect(None, count_cores()):
            yield ray.get_runtime_context().gcs_address

    @contextlib.contextmanager
    def _join_cluster(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Be connected to the cluster.

        Raises:
            GptexpError: it can't be reached, or no node of it is large enough.
        """
        import ray

        needs = [self._needs(job) for job in jobs]
        with _connect(self._address, max(count_cores(), *(need.cpus for need in needs))):
            for need in set(needs):
                _check_room(need, ray.nodes())  # type: ignore[no-untyped-call]
            yield

    def _send_out(self, function: JobFunction, waiting: deque[_Errand]) -> None:
        """Send out as many as may be at work; a run that somebody else works on waits."""
        import ray

        for _ in range(len(waiting)):
            if self._stopping or len(self._out) >= min(self._n_workers, count_room(self._needs(waiting[0].job))):
                return
            errand = waiting.popleft()
            home = RunDir(Path(errand.job.run_dir))
            try:
                errand.hold.enter_context(hold_run(home))
            except LockTimeout:
                waiting.append(errand)
                continue
            need = self._needs(errand.job)
            options = {"num_cpus": need.cpus, "num_gpus": need.gpus, "memory": need.memory_mib * 2**20}
            errand.agent = ray.remote(Agent).options(max_concurrency=2, **options).remote()
            # One that was loaded by ray.put is kept once on each node, however many runs read it.
            text, weights = self._put_text(errand.job), self._put_weights(errand.job, home)
            work = errand.agent.work.options(num_returns="streaming")
            told = work.remote(Named.of(function), errand.job, pack_run(home.path), text, weights)
            self._out.append(errand)
            threading.Thread(target=self._listen, args=(errand, told, home.path), daemon=True).start()

    def _put_text(self, job: Job) -> Any:
        import ray

        checksum = job.content["corpus"]["checksum"]
        if checksum not in self._sent:
            corpus = read_run_tokens(job.corpus, job.content).corpus
            self._sent[checksum] = ray.put(corpus.text.encode())
        return self._sent[checksum]

    def _put_weights(self, job: Job, home: RunDir) -> Any:
        """The files of the weights that a run starts from; None where it has a checkpoint or draws its weights."""
        import ray

        name = job.run.config.init_from
        if name is None or job.init_from is None or find_resumable(home, job.run.config.max_steps):
            return None
        if name not in self._sent:
            self._sent[name] = ray.put(pack_initial(job.init_from))
        return self._sent[name]

    def _listen(self, errand: _Errand, told: Any, home: Path) -> None:
        """Write home what one run sends, and pass on what it says."""
        import ray

        try:
            for reference in told:
                news = ray.get(reference)
                if isinstance(news, list) and all(isinstance(piece, Piece) for piece in news):
                    write_home(home, news)
                else:
                    self._told.put((errand, news))
        except GptexpError as error:
            self._told.put((errand, JobEnd(None, error=str(error))))
        except Exception as error:  # Ray has many words for a node that is gone
            self._told.put((errand, error))

    def _receive(self, errand: _Errand, news: Any, waiting: deque[_Errand]) -> Iterator[JobEvent | JobEnd]:
        if errand not in self._out:
            return
        if not isinstance(news, JobEnd | Exception):
            yield JobEvent(errand.job, news)
            return
        self._let_go(errand)
        if isinstance(news, JobEnd):
            yield replace(news, job=errand.job)
            return
        reason = read_first_line(news)
        if self._stopping or errand.losses >= LARGEST_LOSSES:
            yield JobEnd(errand.job, error=f"its node was lost ({reason}); it goes on from its last checkpoint")
            return
        yield JobEvent(errand.job, Notice("its node was lost: it goes on elsewhere from its last checkpoint"))
        waiting.appendleft(_Errand(errand.job, contextlib.ExitStack(), losses=errand.losses + 1))

    def _pass_on_stop(self) -> None:
        if self._stopping:
            for errand in self._out:
                if not errand.was_asked:
                    errand.was_asked = True
                    errand.agent.stop.remote()

    def _let_go(self, errand: _Errand) -> None:
        import ray

        self._out.remove(errand)
        with contextlib.suppress(Exception):
            ray.kill(errand.agent)
        errand.hold.close()

    def _recall(self) -> None:
        for errand in list(self._out):
            self._let_go(errand)


PATIENCE_S = 10.0
"""How long a cluster may take to accept a connection. Ray itself asks for minutes, and then ends the process."""


def _check_address(address: str) -> None:
    """Raises:
    GptexpError: nobody listens at an address like head:6379 or ray://head:10001.
    """
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), PATIENCE_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise GptexpError(
            f"the Ray cluster {address} can't be had: {reason}; is it up, and is that the address of its head?"
        ) from None


@contextlib.contextmanager
def _connect(address: str | None, cpus: int) -> Iterator[None]:
    """Be connected to the cluster at `address`; without one, to a cluster of this machine that ends with the context.

    Raises:
        GptexpError: it can't be had.
    """
    import ray

    here: dict[str, Any] = {}
    if address is not None:
        _check_address(address)
    if address is None:
        here = {"num_cpus": cpus, "num_gpus": len(find_gpus()), "include_dashboard": False}
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = read_first_line(error)
        raise GptexpError(f"the Ray cluster {address or 'of this machine'} can't be had: {reason}") from None
    finally:
        if threading.current_thread() is threading.main_thread():
            # Ray takes signals for itself; what they mean here is decided by whoever launches.
            for number, handler in before:
                signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def count_room(need: Needs) -> int:
    """How many such runs the cluster, as it is now, can carry out at once; at least one."""
    import ray

    there = ray.cluster_resources()  # type: ignore[no-untyped-call]
    rooms = [there.get(name, 0.0) / size for name, size in (("CPU", need.cpus), ("GPU", need.gpus)) if size]
    return max(1, int(min(rooms)))


def _check_room(need: Needs, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raises:
    GptexpError: no node is large enough for a run.
    """
    asked = {"CPU": float(need.cpus), "GPU": need.gpus, "memory": need.memory_mib * 2.0**20}
    rooms = [node["Resources"] for node in nodes if node["Alive"]]
    if any(all(room.get(name, 0.0) >= size for name, size in asked.items()) for room in rooms):
        return
    there = "; ".join(_write_room(room) for room in rooms) or "no node"
    raise GptexpError(
        f"no node of the Ray cluster has room for a run, which takes {_write_room(asked)}: it has {there}"
    )


def _write_room(room: Mapping[str, float]) -> str:
    memory = room.get("memory", 0.0) / 2**30
    return f"{room.get('CPU', 0):g} CPUs, {room.get('GPU', 0):g} GPUs and {memory:.1f} GiB of memory"
