"""Drivers of one run on a simulated store, their requests in any order: one owner, and nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import threading
from io import BytesIO
from types import SimpleNamespace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from orchestrator import lease
from orchestrator.errors import LockLost
from orchestrator.journal import Journal, SessionJournal
from orchestrator.lease import Claims
from orchestrator.record import Record
from orchestrator.signals import Halt
from trainables import storage

LEASE_S = 60


class KilledError(BaseException):
    """kill -9: nothing of the driver reaches the store after it."""


class World:
    """A store with a clock of its own, and the drivers whose requests it carries out when it is told to."""

    def __init__(self):
        self.turn = threading.Condition()
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.now = 1000.0
        self.drivers: dict[str, Driver] = {}
        self.acknowledged: list[str] = []
        self.next = itertools.count().__next__


class System:
    """What trainables.storage asks of a file system, for one driver; None looks at the store from outside."""

    def __init__(self, world, driver):
        self._world, self._driver = world, driver

    def _gated(self, apply):
        if self._driver is None:
            return apply()
        return self._driver.at_gate(apply)

    def open_input_stream(self, key):
        if key not in self._world.objects:
            raise FileNotFoundError(key)
        return BytesIO(self._world.objects[key][0])

    def open_output_stream(self, key):
        system, kept = self, BytesIO()

        class Stream:
            write = staticmethod(kept.write)

            def __enter__(self):
                return self

            def __exit__(self, *error):
                system._gated(lambda: system._world.objects.update({key: (kept.getvalue(), system._world.now)}))

        return Stream()

    def get_file_info(self, what):
        if isinstance(what, str):
            return SimpleNamespace(is_file=what in self._world.objects)
        return self._gated(lambda: [*self._infos(f"{what.base_dir}/")])

    def _infos(self, prefix):
        for key, (_, then) in list(self._world.objects.items()):
            if key.startswith(prefix):
                name = key.rpartition("/")[2]
                yield SimpleNamespace(path=key, base_name=name, is_file=True, mtime_ns=int(then * 1e9))

    def delete_file(self, key):
        self._gated(lambda: self._world.objects.pop(key, None))

    def delete_dir(self, key):
        inside = [name for name in self._world.objects if name.startswith(f"{key}/")]
        self._gated(lambda: [self._world.objects.pop(name, None) for name in inside])


class Driver(threading.Thread):
    """Takes the lock, reads the journal, then does what it is told, request by request."""

    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world, self.id = world, name
        self.state, self.command, self.how = "busy", "", ""
        self.killed = self.lost = self.took = False
        self.claims = Claims(f"sim://{name}/run/lock", name, LEASE_S)

    @property
    def owns(self):
        """Whether it may write, as far as it knows."""
        return self.took and self.state != "dead" and not self.lost and self.claims.age <= self.claims.valid_s

    def check(self):
        if not self.owns:
            raise LockLost("lost")

    def at_gate(self, apply):
        how = self._wait("gate", "how")
        if how == "lost":
            raise OSError("no answer")
        result = apply()
        if how == "late":
            raise OSError("the answer was lost")
        return result

    def _wait(self, state, of):
        with self.world.turn:
            self.state = state
            self.world.turn.notify_all()
            while not getattr(self, of) and not self.killed:
                self.world.turn.wait()
            told, self.state = getattr(self, of), "busy"
            setattr(self, of, "")
            if self.killed:
                raise KilledError
            return told

    def run(self):
        try:
            if self.claims.take() is None:
                self.took = True
                self._work()
        except (Halt, OSError, KilledError):
            pass
        finally:
            with self.world.turn:
                self.state = "dead"
                self.world.turn.notify_all()

    def _work(self):
        journal = SessionJournal(f"sim://{self.id}/run/journal", self.check)
        journal.begin()
        record = Record("loss", 1.0, journal)
        record.replay(journal.read())
        while True:
            command = self._wait("idle", "command")
            if command == "propose":
                self.world.acknowledged.append(record.propose({"by": self.id}).id + self.id)
            elif command == "leave":
                self.claims.leave()
                return
            elif not self._renews():
                self.lost = True
                return

    def _renews(self):
        try:
            return self.claims.renew()
        except OSError:
            return self.claims.age <= self.claims.valid_s


class Drivers(RuleBasedStateMachine):
    """Random interleavings of the requests of up to three drivers, with kills, lost and late writes, and time."""

    world: World

    def __init__(self):
        super().__init__()
        type(self).world = self.world = World()
        self.count = 0

    def _settled(self, state=None):
        """The drivers at rest, all or those in that state."""
        with self.world.turn:
            alive = self.world.drivers.values()
            assert self.world.turn.wait_for(lambda: all(one.state != "busy" for one in alive), 60)
            return [one for one in alive if one.state != "dead" and state in (None, one.state)]

    def _tell(self, driver, of, what):
        with self.world.turn:
            driver.state = "busy"
            setattr(driver, of, what)
            self.world.turn.notify_all()

    @precondition(lambda self: len(self._settled()) < 3)
    @rule()
    def start(self):
        self.count += 1
        driver = Driver(self.world, f"d{self.count}")
        self.world.drivers[driver.id] = driver
        driver.start()

    @precondition(lambda self: self._settled("gate"))
    @rule(data=st.data(), how=st.sampled_from(["do"] * 12 + ["lost", "late"]))
    def request(self, data, how):
        self._tell(data.draw(st.sampled_from(self._settled("gate")), "driver"), "how", how)

    @precondition(lambda self: self._settled("idle"))
    @rule(data=st.data(), command=st.sampled_from(["propose"] * 4 + ["renew"] * 2 + ["leave"]))
    def order(self, data, command):
        self._tell(data.draw(st.sampled_from(self._settled("idle")), "driver"), "command", command)

    @precondition(lambda self: self._settled())
    @rule(data=st.data())
    def kill(self, data):
        driver = data.draw(st.sampled_from(self._settled()), "driver")
        with self.world.turn:
            driver.state, driver.killed = "busy", True
            self.world.turn.notify_all()

    @rule(seconds=st.sampled_from([1.0, 10.0, 14.0, 40.0, 61.0]))
    def pass_time(self, seconds):
        self._settled()
        self.world.now += seconds

    @invariant()
    def there_is_one_owner_at_most(self):
        assert sum(driver.owns for driver in self._settled()) <= 1

    @invariant()
    def nothing_acknowledged_is_lost(self):
        self._settled()
        record = Record("loss", 1.0)
        events = list(Journal("sim://outside/run/journal").read())
        record.replay(events)
        kept = [event["trial"] + event["config"]["by"] for event in events]
        assert [one for one in kept if one in set(self.world.acknowledged)] == self.world.acknowledged

    def teardown(self):
        with self.world.turn:
            for driver in self.world.drivers.values():
                driver.killed = True
            self.world.turn.notify_all()


def test_of_any_number_of_drivers_one_owns_the_run_and_loses_nothing(monkeypatch, operations):
    monkeypatch.setattr(lease, "_now", lambda: Drivers.world.now)
    monkeypatch.setattr(lease, "_POLL_S", 0.0)
    # The order of equal tickets must be that of the history.
    monkeypatch.setattr(lease.uuid, "uuid4", lambda: SimpleNamespace(hex=f"{Drivers.world.next():032x}"))
    known = storage._file_system

    def simulated(scheme, netloc, query):
        if scheme != "sim":
            return known(scheme, netloc, query)
        return System(Drivers.world, Drivers.world.drivers.get(netloc)), ""

    monkeypatch.setattr(storage, "_file_system", simulated)
    steps = 60
    run_state_machine_as_test(
        Drivers, settings=settings(max_examples=max(1, operations // steps), stateful_step_count=steps, deadline=None)
    )
