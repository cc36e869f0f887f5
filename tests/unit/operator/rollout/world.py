"""A variant's rollout in a world of numbers, for the laws: pods that start, fail and die, routers
that lag and are replaced, clocks that jump, an operator that is killed between any two of its
calls, and people who change their minds.

Each history is a seed. The operator's part is the real `progress.decide`, and its calls are made in
the order of `act`: more pods, the weights, fewer pods, the status.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelfleet_operator.api.rollout import OnFailure, Step
from modelfleet_operator.api.status import RolloutStatus
from modelfleet_operator.plan.rollout import progress
from modelfleet_operator.plan.rollout.capacity import needed
from modelfleet_operator.plan.rollout.facts import FULL, Arm, Facts, Judgement, Policy, Verbs
from modelfleet_operator.plan.rollout.progress import Progress
from modelfleet_operator.router.site import WHOLE
from tests.unit.operator.builders import NOW

STEPS = (
    (),
    (Step(weight=5, pause=timedelta(minutes=1)), Step(weight=50)),
    (Step(weight=10), Step(weight=20, until_promoted=True), Step(weight=80)),
    (Step.model_construct(weight=0, pause=timedelta(minutes=1), until_promoted=False),),
)


class Broken(AssertionError):
    """A law that did not hold."""


@dataclass
class Router:
    """One pod of the pair: it serves the weights that it was told last, late."""

    serves: dict[str, int] = field(default_factory=dict)
    version: int = 0


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
    pods: dict[str, list[bool]] = field(default_factory=dict)
    """Of each revision, which are ready."""
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

    def ready(self, name: str) -> int:
        """Not more than are to stay."""
        return min(sum(self.pods.get(name, ())), self.asked.get(name, 0))

    @property
    def served(self) -> bool:
        return all(router.version == self.version for router in self.routers)

    # One look, call by call. After each yield the operator may be dead.

    def look(self) -> Iterator[None]:
        facts = self.facts()
        plan = progress.decide(facts)
        self.check_plan(facts, plan)
        yield
        for name, pods in plan.pods.items():
            if pods > self.asked.get(name, 0):
                self.asked[name] = pods
                yield
        if dict(plan.weights) != self.written:
            self.check_shift(facts, plan)
            self.written = dict(plan.weights)
            self.version += 1
            yield
        for name in list(self.asked):
            pods = plan.pods.get(name, 0)
            if pods < self.asked[name]:
                self.check_shrink(name, pods)
                self.asked[name] = pods
                yield
        self.stable, self.told, self.idle = plan.stable, plan.told, dict(plan.idle_since)

    # The laws.

    def check_plan(self, facts: Facts, plan: Progress) -> None:
        if sum(plan.weights.values()) != WHOLE or min(plan.weights.values()) <= 0:
            raise Broken(f"the weights {plan.weights} do not sum to {WHOLE}")
        if progress.decide(facts) != plan:
            raise Broken("the same facts gave another answer")
        if facts.verbs.aborted and facts.stable and facts.wanted != facts.stable:
            grown = plan.weights.get(facts.wanted, 0) > facts.weight(facts.wanted)
            if grown:
                raise Broken("a rollout that was aborted goes on")

    def check_shift(self, facts: Facts, plan: Progress) -> None:
        """On what was seen, which is all that an operator can answer for."""
        if facts.stable is None or facts.demand == 0:
            return
        forward = plan.weights.get(facts.wanted, 0) > facts.weight(facts.wanted)
        lent = not facts.arm(facts.stable).ready  # a share that has nobody is lent at once
        if forward and facts.wanted != facts.stable and not facts.served and not lent:
            raise Broken("a shift began before the one before it was served")
        for name, parts in plan.weights.items():
            if parts <= facts.weight(name):
                continue
            usable = facts.arm(name).usable
            givers = [n for n, has in facts.written.items() if has > plan.weights.get(n, 0)]
            # Who cannot carry what it has gives it up all the same.
            weak = all(facts.arm(n).usable < needed(facts.weight(n), facts.demand) for n in givers)
            if usable == 0 or (usable < needed(parts, facts.demand) and not weak):
                raise Broken(f"{name} got {parts} parts with {usable} pods")

    def check_shrink(self, name: str, pods: int) -> None:
        """Whoever may still be sent something keeps the pods for it."""
        if self.demand == 0:
            return
        shares = [self.written.get(name, 0), *(r.serves.get(name, 0) for r in self.routers)]
        least = needed(max(shares), self.demand) if max(shares) else 0
        if pods < least:
            raise Broken(f"{name} shrinks to {pods} pods while a router gives it {max(shares)}")

    def check_traffic(self) -> None:
        """What every router does at this moment."""
        for router in self.routers:
            for name in router.serves:
                if name == self.stable and name not in self.hurt and not self.ready(name):
                    raise Broken(f"{name} gets requests and has no pod, and nobody took them")

    # The others.

    def controllers(self) -> None:
        for name in {*self.asked, *self.pods}:
            there = self.pods.setdefault(name, [])
            want = self.asked.get(name, 0)
            if len(there) < want and (self.calm or self.chance.random() < 0.8):
                there.append(False)
            elif len(there) > want:
                there.remove(min(there))
            if name not in self.dead and (self.calm or self.chance.random() < 0.7):
                unready = [i for i, ready in enumerate(there) if not ready]
                if unready:
                    there[self.chance.choice(unready)] = True
            if self.ready(name) >= want:
                self.hurt.discard(name)

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
        match self.chance.randrange(10):
            case 0:
                name = self.chance.choice(sorted(self.pods) or ["r1"])
                if self.pods.get(name):
                    self.pods[name][self.chance.randrange(len(self.pods[name]))] = False
                    self.hurt.add(name)
            case 1:
                self.routers[self.chance.randrange(2)] = Router(dict(self.written), self.version)
            case 2 if self.chance.random() < 0.3:
                self.told, self.idle = None, {}  # somebody emptied the status, but for what serves

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
            bake=self.chance.choice((timedelta(0), timedelta(0), timedelta(minutes=2))),
        )

    @property
    def others(self) -> tuple[object, ...]:
        return (self.controllers, self.kubelet, self.requests, self.time, self.trouble, self.people)
