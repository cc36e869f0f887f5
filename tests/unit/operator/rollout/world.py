"""A variant's rollout in a world of numbers, for the laws: pods that start, fail and die, routers
that lag and are replaced, nodes with few accelerators that others want too and that are drained,
clocks that jump, an operator that is killed between any two of its calls, and people who change
their minds.

Each history is a seed. The operator's part is the real `progress.decide`, and its calls are made in
the order of `act`: more pods, the weights, fewer pods, the status.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from modelfleet_operator.api.rollout import OnFailure, Step, Surge
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout import progress
from modelfleet_operator.plan.rollout.facts import (
    FULL,
    Arm,
    Facts,
    Judgement,
    Places,
    Policy,
    Verbs,
)
from tests.unit.operator.builders import NOW
from tests.unit.operator.rollout import laws

STEPS = (
    (),
    (Step(weight=5, pause=timedelta(minutes=1)), Step(weight=50)),
    (Step(weight=10), Step(weight=20, until_promoted=True), Step(weight=80)),
    (Step.model_construct(weight=0, pause=timedelta(minutes=1), until_promoted=False),),
)


@dataclass
class Router:
    """One pod of the pair: it serves the weights that it was told last, late."""

    serves: dict[str, int] = field(default_factory=dict)
    version: int = 0


@dataclass
class Pod:
    ready: bool = False
    node: str = ""
    """Empty: it has none yet."""
    refused: bool = False
    """The scheduler has looked for one, and there was none."""
    leaving: bool = False


@dataclass
class Node:
    """One with accelerators: each pod needs one of them."""

    devices: int
    others: int = 0
    """Those that other workloads have."""
    cordoned: bool = False


@dataclass
class World:
    chance: random.Random
    calm: bool = False
    """Everybody does what there is to do, and nobody makes trouble."""
    now: datetime = NOW
    demand: int = 2
    wanted: str = "r1"
    policy: Policy = field(default_factory=Policy)
    verbs: Verbs = field(default_factory=Verbs)
    bad: set[str] = field(default_factory=set)
    """Revisions that the analysis finds worse."""
    dead: set[str] = field(default_factory=set)
    """Revisions whose pods never become ready."""
    asked: dict[str, int] = field(default_factory=dict)
    pods: dict[str, list[Pod]] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    """Empty: no pod needs an accelerator, and there is a place for each."""
    parted: bool = False
    """It was said that for a while nothing serves, and nothing serves yet."""
    written: dict[str, int] = field(default_factory=dict)
    version: int = 0
    routers: list[Router] = field(default_factory=lambda: [Router(), Router()])
    busy: set[str] = field(default_factory=set)
    """Revisions with requests in flight."""
    stable: str | None = None
    told: RolloutStatus | None = None
    idle: dict[str, datetime] = field(default_factory=dict)
    hurt: set[str] = field(default_factory=set)
    """Revisions that lost a pod to something that nobody asked for, until they are whole again."""
    changes: int = 0

    # What the operator sees.

    def facts(self) -> Facts:
        names = {*self.asked, *self.pods, self.wanted, *self.written}
        arms = {
            name: Arm(
                ready=self.ready(name),
                reachable=self.ready(name),
                asked=self.asked.get(name, 0),
                present=len(self.pods.get(name, ())),
                leaving=sum(pod.leaving for pod in self.pods.get(name, ())),
                unplaced=self.unplaced(name),
                quiet=name not in self.busy,
                idle_since=self.idle.get(name),
                hopeless="its model cannot be loaded" if name in self.dead else "",
            )
            for name in names
        }
        bad = self.wanted in self.bad and self.written.get(self.wanted, 0) > 0
        return Facts(
            now=self.now,
            wanted=self.wanted,
            stable=self.stable,
            demand=self.demand,
            arms=arms,
            written=dict(self.written),
            served=self.served,
            policy=self.policy,
            verbs=self.verbs,
            judgement=Judgement(fails="it is worse" if bad else ""),
            told=self.told,
        )

    def staying(self, name: str) -> list[Pod]:
        return [pod for pod in self.pods.get(name, ()) if not pod.leaving]

    def ready(self, name: str) -> int:
        """Not more than are to stay."""
        return min(sum(pod.ready for pod in self.staying(name)), self.asked.get(name, 0))

    def unplaced(self, name: str) -> int:
        """Of those that are to stay."""
        pods = self.staying(name)
        lacks = self.asked.get(name, 0) - sum(bool(pod.node) for pod in pods)
        return max(0, min(lacks, sum(pod.refused and not pod.node for pod in pods)))

    def free(self, name: str) -> int:
        node = self.nodes[name]
        here = [pod for pods in self.pods.values() for pod in pods if pod.node == name]
        return 0 if node.cordoned else max(0, node.devices - node.others - len(here))

    def places(self) -> Places:
        """What a count of the cluster would say."""
        open_ = [node for node in self.nodes.values() if not node.cordoned]
        return Places(
            fits=sum(map(self.free, self.nodes)),
            total=sum(max(0, node.devices - node.others) for node in open_),
            elsewhere=sum(
                pod.node in self.nodes and self.nodes[pod.node].cordoned
                for pods in self.pods.values()
                for pod in pods
            ),
            says="as many as there are",
        )

    @property
    def served(self) -> bool:
        return all(router.version == self.version for router in self.routers)

    # One look, call by call. After each yield the operator may be dead.

    def look(self) -> Iterator[None]:
        facts = self.facts()
        plan = progress.decide(facts)
        if plan.counts:
            facts = replace(facts, places=self.places())
            plan = progress.decide(facts)
        laws.plan(self, facts, plan)
        laws.choice(self, facts, plan)
        yield
        for name, pods in plan.pods.items():
            if pods > self.asked.get(name, 0):
                laws.room(self, facts, plan, name)
                self.asked[name] = pods
                yield
        if dict(plan.weights) != self.written:
            laws.shift(self, facts, plan)
            self.written = dict(plan.weights)
            self.version += 1
            yield
        for name in list(self.asked):
            pods = plan.pods.get(name, 0)
            if pods < self.asked[name]:
                laws.shrink(self, facts, name, pods)
                self.asked[name] = pods
                yield
        self.stable, self.told, self.idle = plan.stable, plan.told, dict(plan.idle_since)
        self.parted = self.parted or (plan.told is not None and plan.told.surge == Surge.RECREATE)

    @property
    def bounded(self) -> bool:
        return bool(self.nodes) or self.policy.surge in (Surge.IN_PLACE, Surge.RECREATE)

    # The others.

    def controllers(self) -> None:
        for name in {*self.asked, *self.pods}:
            there = self.pods.setdefault(name, [])
            there[:] = [p for p in there if not p.leaving or not self.by_chance(0.6)]
            staying, want = self.staying(name), self.asked.get(name, 0)
            if len(staying) < want and self.by_chance(0.8):
                there.append(Pod())
            elif len(staying) > want:
                min(staying, key=lambda pod: (pod.ready, bool(pod.node))).leaving = True
            if name not in self.dead and self.by_chance(0.7):
                unready = [pod for pod in self.staying(name) if pod.node and not pod.ready]
                if unready:
                    self.chance.choice(unready).ready = True
            if want and self.ready(name) >= want:
                self.hurt.discard(name)

    def scheduler(self) -> None:
        for pod in [pod for name in self.pods for pod in self.staying(name) if not pod.node]:
            room = [name for name in self.nodes if self.free(name)]
            pod.refused = bool(self.nodes) and not room
            if not pod.refused and self.by_chance(0.8):
                pod.node = self.chance.choice(room) if room else "any"

    def evictions(self) -> None:
        """Whoever drains a node asks for each of its pods, and hears no while the disruption
        budget of its revision (one less than it asks for, from two on) is used up."""
        for name in sorted(self.pods):
            for pod in self.staying(name):
                if not (pod.node in self.nodes and self.nodes[pod.node].cordoned):
                    continue
                asked = self.asked.get(name, 0)
                ready = sum(pod.ready for pod in self.staying(name))
                if asked >= 2 and pod.ready and ready < asked:
                    continue
                if asked < 2:
                    self.hurt.add(name)
                pod.leaving = True

    def by_chance(self, share: float) -> bool:
        return self.calm or self.chance.random() < share

    def kubelet(self) -> None:
        """Each router hears of the newest weights, or not yet."""
        for router in self.routers:
            if self.calm or self.chance.random() < 0.6:
                router.serves, router.version = dict(self.written), self.version

    def requests(self) -> None:
        self.busy = {n for r in self.routers for n, parts in r.serves.items() if parts}
        if not self.calm and self.chance.random() < 0.3:
            self.busy |= set(self.chance.sample(sorted(self.asked), min(1, len(self.asked))))

    def time(self) -> None:
        seconds = 20 if self.calm else self.chance.choice((0, 1, 5, 30, 30, 300, -3, 1200))
        self.now += timedelta(seconds=seconds)

    def trouble(self) -> None:
        if self.calm:
            return
        match self.chance.randrange(12):
            case 0:
                name = self.chance.choice(sorted(self.pods) or ["r1"])
                if self.pods.get(name):
                    self.chance.choice(self.pods[name]).ready = False
                    self.hurt.add(name)
            case 1:
                self.routers[self.chance.randrange(2)] = Router(dict(self.written), self.version)
            case 2 if self.chance.random() < 0.3:
                self.told, self.idle = None, {}  # somebody emptied the status, but for what serves

            case 3 | 4 if self.nodes:
                node = self.nodes[self.chance.choice(sorted(self.nodes))]
                node.cordoned = not node.cordoned
            case 5 if self.nodes:
                name = self.chance.choice(sorted(self.nodes))
                node, least = (
                    self.nodes[name],
                    sum(n.devices - n.others for n in self.nodes.values()),
                )
                if node.others and self.chance.random() < 0.5:
                    node.others -= 1
                elif self.free(name) and least > 1:
                    node.others += 1

    def people(self) -> None:
        if self.calm:
            return
        match self.chance.randrange(40):
            case 0 | 1:
                self.change()
            case 2:
                self.demand = self.chance.choice((1, 2, 3, 5))
                self.hurt |= set(self.pods)  # has to grow first
            case 3:
                self.verbs = Verbs(paused=True)
            case 4 | 5:
                self.verbs = Verbs()
            case 6:
                self.verbs = Verbs(promoted=self.chance.choice((0, 1, FULL)))
            case 7:
                self.verbs = Verbs(aborted=True)
            case 8:
                self.verbs = Verbs(retried=True)

    def change(self) -> None:
        """Another spec: mostly a new revision, sometimes one of before."""
        self.verbs = Verbs()
        if self.changes and self.chance.random() < 0.3:
            self.wanted = f"r{self.chance.randint(1, self.changes + 1)}"
            return
        self.changes += 1
        self.wanted = f"r{self.changes + 1}"
        if self.chance.random() < 0.25:
            self.bad.add(self.wanted)
        if self.chance.random() < 0.25:
            self.dead.add(self.wanted)
        steps = self.chance.choice(STEPS)
        failing = self.chance.choice((OnFailure.ROLLBACK, OnFailure.ROLLBACK, OnFailure.PAUSE))
        self.policy = Policy(
            steps=steps,
            on_failure=failing,
            full=any(not step.weight for step in steps),
            surge=self.chance.choice((Surge.AUTO,) * 5 + tuple(Surge)),
            accelerated=bool(self.nodes),
            bake=self.chance.choice((timedelta(0), timedelta(0), timedelta(minutes=2))),
        )

    @property
    def others(self) -> tuple[object, ...]:
        return (
            self.controllers, self.scheduler, self.evictions, self.kubelet, self.requests,
            self.time, self.trouble, self.people,
        )  # fmt: skip
