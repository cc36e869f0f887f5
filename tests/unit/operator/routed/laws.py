"""What must hold in every story behind routers, at every write and after everybody's step."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from modelfleet_operator import kinds
from modelfleet_operator.api import labels
from modelfleet_operator.api.rollout import Surge
from modelfleet_operator.children import routing
from modelfleet_operator.plan import replicas, variants
from modelfleet_operator.plan.rollout.capacity import needed
from modelfleet_operator.router import names, part, routes
from modelfleet_operator.router import pod as router_pod
from modelfleet_operator.router.names import ClusterName
from modelfleet_operator.router.prove import faults
from modelfleet_operator.router.site import WHOLE
from modelfleet_operator.router.written import SHARES_KEY, SITE_KEY, read, read_shares
from modelfleet_operator.seen import Json
from tests.unit.operator.builders import NAMESPACE
from tests.unit.operator.memory_api import Write
from tests.unit.operator.routed.kubernetes import SITES, is_ready, passes
from tests.unit.operator.routed.world import RoutedWorld, Sight
from tests.unit.operator.world import is_leaving


class Broken(AssertionError):
    """A law that did not hold."""


@dataclass
class Laws:
    """Watches one world. `before_write` sees it as it is when the operator's call arrives."""

    world: RoutedWorld
    answered: set[str] = field(default_factory=set)
    told: dict[str, str] = field(default_factory=dict)
    """What each deployment wanted of the routers, as the pair was written last."""
    on_its_way: tuple[Json, dict[str, str]] = field(default_factory=lambda: ({}, {}))
    """The files of the last call to write the pair, which may have been lost, and the same."""

    def before_write(self, write: Write) -> None:
        for law in AT_WRITES:
            law(self.world, write)
        if _is_of_the_pair(write):
            self._a_change_of_one_site_changes_no_other(write)

    def after_step(self) -> None:
        """Whoever moved: what answered goes on answering, at every address behind the name, unless
        somebody took it away."""
        world = self.world
        for resource in world.resources:
            name = resource["metadata"]["name"]
            wrong = list(_wrong(world, name))
            if wrong and name in self.answered and name not in world.excused:
                raise Broken(f"{name} does not answer any more: {'; '.join(wrong)}")
            again = not wrong and name in self.answered and name in world.excused
            (self.answered.discard if wrong else self.answered.add)(name)
            if again and _is_whole(world, name):
                world.excused.discard(name)

    def _a_change_of_one_site_changes_no_other(self, write: Write) -> None:
        before = self.world.api.find(kinds.CONFIG_MAP, NAMESPACE, write.name)
        old = {} if before is None else part.read(before["data"])
        new, now = part.read(write.body["data"]), self.world.wanted_of_routers
        if before is not None and before["data"] == self.on_its_way[0]:
            self.told = self.on_its_way[1]
        self.on_its_way = write.body["data"], now
        for name in old.keys() & now.keys() & self.told.keys():
            if now[name] == self.told[name] and old[name] != new.get(name):
                raise Broken(f"the routing of {name} changed, and it had not asked for that")


# -- answers


def _wrong(w: RoutedWorld, name: str) -> Iterator[str]:
    """Why a caller of the name may get no answer at this moment; nothing: every caller gets one."""
    found = w.api.find(kinds.ENDPOINT_SLICE, NAMESPACE, f"{name}-slice")
    endpoints = [] if found is None else [e for e in found["endpoints"] if e["conditions"]["ready"]]
    if not endpoints:
        yield "nobody stands behind its address"
    for each in endpoints:
        pod = w.api.find(kinds.POD, NAMESPACE, each["targetRef"]["name"])
        if pod is None or not is_ready(pod):
            yield f"{each['targetRef']['name']} is behind its address, and is not there"
        elif labels.REVISION not in pod["metadata"]["labels"]:
            assert found is not None
            yield from _wrong_at_router(w, pod, name, found["ports"][0]["port"])


def _wrong_at_router(w: RoutedWorld, pod: Json, name: str, port: int) -> Iterator[str]:
    envoy, who = w.envoy(pod), pod["metadata"]["name"]
    if envoy.ports.get(port) != name:
        yield f"{who} does not listen for it at {port}"
        return
    split = envoy.split[name]
    if sum(split.values()) != WHOLE:
        yield f"{who} splits its traffic into {split}"
    for revision, parts in split.items():
        if parts and not w.passing(revision):
            yield f"{who} gives {parts} parts to {revision}, of which no pod is ready"


def _is_whole(w: RoutedWorld, name: str) -> bool:
    """Pods that have lost their Deployment answer still, and are about to go; and a router that is
    late may yet give a share to those that were killed."""
    if w.behind_routers(name):
        routers = sum(passes(pod) for pod in w.routers())
        if min(routers, w.desired(router_pod.SHARED)) < 2 or not w.all_serve(name):
            return False
        files = w.api.find(kinds.CONFIG_MAP, NAMESPACE, SITES)
        data = None if files is None else files["data"]
        if any(data != each.files or data != each.cached for each in w.plane.envoys.values()):
            return False
        if not all(w.passing(each) for each in w.written(name)):
            return False
    for variant, spec in w.standing(name).items():
        stable, asked = w.variant(name, variant).get("stable"), replicas.asked(spec)
        if stable is None or not 0 < asked <= min(w.passing(stable), w.desired(stable)):
            return False
    return True


# -- at writes


def what_gets_requests_keeps_the_pods_for_them(w: RoutedWorld, write: Write) -> None:
    if write.verb != "scale":
        return
    name = _owner(w, kinds.DEPLOYMENT, write.name)
    variant = _variant(w, kinds.DEPLOYMENT, write.name)
    if variant not in w.sights[name]:
        return  # it leaves, and nobody says any more how many pods it needs
    if w.variant(name, variant).get("rollout", {}).get("surge") == Surge.RECREATE:
        return  # it goes for the other, and that was said
    demand = min(w.sights[name][variant].carrying, w.demand(name, variant))
    share = w.share(name, write.name) if _is_called(w, name, write.name) else 0
    if w.behind_routers(name) and w.written(name).get(write.name):
        share = max(share, w.shares(name)[variant].get(write.name, 0))
    number = write.body["spec"]["replicas"]
    if demand and number < min(w.desired(write.name), needed(share, demand)):
        raise Broken(f"{write} to {number} while it gets {share} parts of what needs {demand}")


def what_gets_requests_is_not_pruned(w: RoutedWorld, write: Write) -> None:
    if write.verb != "delete" or write.kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        return
    there = w.api.find(kinds.BY_NAME[write.kind], NAMESPACE, write.name) if (
        write.kind in kinds.BY_NAME
    ) else None  # fmt: skip
    if there is None:
        return
    living = [each["metadata"]["name"] for each in w.resources]
    name = there["metadata"]["labels"].get(labels.DEPLOYMENT)
    if name is None:  # of the pair
        # One that was made a moment ago, after the look began, has lost nothing yet.
        callers = [each for each in living if w.behind_routers(each) and each not in w.excused]
        if callers and "-bootstrap-" not in write.name:
            raise Broken(f"{write} while {callers} are behind it")
    elif name in living:
        running = [p for p in w.pods(write.name) if not is_leaving(p)]
        if write.name == name or running or _is_called(w, name, write.name):
            raise Broken(f"{write} while it gets requests or has pods")
        if write.name == routing.name_of(name) and w.behind_routers(name):
            raise Broken(f"{write} while routers are behind the address")


def a_share_grows_only_with_the_pods_for_it(w: RoutedWorld, write: Write) -> None:
    name = _deployment_told_of(w, write)
    if name is None:
        return
    site = read(write.body["data"][SITE_KEY])
    assert site is not None
    now = routes.weights(site.intervals)
    if sum(now.values()) != WHOLE or faults(site):
        raise Broken(f"{write} with the weights {now}: {faults(site)}")
    shares = read_shares(write.body["data"][SHARES_KEY])
    if labels.LEAVING in write.body["metadata"].get("annotations", {}):
        return  # it has left them, and they keep what they had
    for variant, seen in w.sights[name].items():
        _grows_only_with_the_pods_for_it(seen, shares.get(variant, {}))


def _grows_only_with_the_pods_for_it(seen: Sight, now: Mapping[str, int]) -> None:
    if sum(now.values()) != WHOLE:
        raise Broken(f"a variant's share is split into {now}")
    serves = any(parts and seen.usable.get(each) for each, parts in seen.written.items())
    if not serves or not seen.demand or seen.stable is None:
        return  # nobody is lost
    grown = now.get(seen.wanted, 0) > seen.written.get(seen.wanted, 0)
    # One without a pod loses nothing when all that it had goes to another at once.
    lives = seen.usable.get(seen.stable, 0) > 0
    if grown and seen.wanted != seen.stable and not seen.served and lives:
        raise Broken("a shift began before the one before it was served")
    givers = [each for each, had in seen.written.items() if had > now.get(each, 0)]
    # Who cannot carry what it has gives it up all the same.
    weak = all(
        seen.usable.get(each, 0) < needed(seen.written[each], seen.carrying) for each in givers
    )
    for revision, parts in now.items():
        if parts <= seen.written.get(revision, 0):
            continue
        usable = seen.usable.get(revision, 0)
        if usable == 0 or (usable < needed(parts, seen.carrying) and not weak):
            raise Broken(f"{revision} got {parts} parts of {seen.demand} with {usable} pods")


def a_shift_inside_a_variant_changes_no_other(w: RoutedWorld, write: Write) -> None:
    name = _deployment_told_of(w, write)
    before = None if name is None else w.site(name)
    if name is None or before is None or len(w.standing(name)) < 2:
        return
    site = read(write.body["data"][SITE_KEY])
    assert site is not None
    spec = w.spec(name)
    assert spec is not None
    asked = {each.name: each.asked for each in variants.asked(spec)}
    had, has = (_by_variant(w, routes.weights(each.intervals)) for each in (before, site))
    able = all(
        sum(seen.usable.get(each, 0) for each, parts in seen.written.items() if parts)
        >= seen.demand
        for seen in w.sights[name].values()
    )
    if able and had == {n: parts for n, parts in asked.items() if parts} and has != had:
        raise Broken(f"the variants had {had}, as asked, and got {has}")


def _by_variant(w: RoutedWorld, weights: Mapping[str, int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for revision, parts in weights.items():
        variant = _variant(w, kinds.CONTROLLER_REVISION, revision)
        found[variant] = found.get(variant, 0) + parts
    return found


def what_the_pair_is_given_is_whole(w: RoutedWorld, write: Write) -> None:
    if not _is_of_the_pair(write):
        return
    data = write.body["data"]
    parts = part.read(data)
    hosts = {
        host["name"]
        for host in json.loads(data[names.ROUTES_FILE])["resources"][0]["virtual_hosts"]
    }
    if parts.keys() != hosts - {names.ALL_SITES}:
        raise Broken(f"the files of the pair hold {sorted(parts)} of {sorted(hosts)}")
    ports = [port for each in parts.values() for port in each.ports]
    odd = [each for each in parts.values() if len(each.ports) not in (0, 2)]
    if len(ports) != len(set(ports)) or odd:
        raise Broken(f"two sites have one port, or one has only one: {sorted(ports)}")
    for each in parts.values():
        known = {cluster["name"] for cluster in each.clusters}
        for cluster in _targets(each.host):
            if cluster not in known:
                raise Broken(f"the routes of {each.name} name {cluster}, which is not there")
    for resource in w.resources:
        name = resource["metadata"]["name"]
        listening = name in parts and parts[name].ports
        if not listening and w.behind_routers(name) and w.site(name) is not None:
            raise Broken(f"{name} is behind the routers, and they are not to listen for it")


def the_number_of_pods_is_never_applied(_: RoutedWorld, write: Write) -> None:
    of_the_pair = write.name == router_pod.SHARED
    if (write.verb, write.kind) != ("apply", "Deployment") or of_the_pair:
        return
    if "replicas" in write.body["spec"]:
        raise Broken(f"{write} with a number of pods")


AT_WRITES: tuple[Callable[[RoutedWorld, Write], None], ...] = (
    what_gets_requests_keeps_the_pods_for_them,
    what_gets_requests_is_not_pruned,
    a_share_grows_only_with_the_pods_for_it,
    a_shift_inside_a_variant_changes_no_other,
    what_the_pair_is_given_is_whole,
    the_number_of_pods_is_never_applied,
)


def _is_of_the_pair(write: Write) -> bool:
    return (write.kind, write.name) == (kinds.CONFIG_MAP.kind, SITES) and "data" in write.body


def _deployment_told_of(w: RoutedWorld, write: Write) -> str | None:
    if write.kind != kinds.CONFIG_MAP.kind or SITE_KEY not in write.body.get("data", {}):
        return None
    return str(write.body["metadata"]["labels"][labels.DEPLOYMENT])


def _owner(w: RoutedWorld, kind: kinds.Kind, child: str) -> str:
    found = w.api.find(kind, NAMESPACE, child)
    assert found is not None
    return str(found["metadata"]["labels"][labels.DEPLOYMENT])


def _variant(w: RoutedWorld, kind: kinds.Kind, child: str) -> str:
    found = w.api.find(kind, NAMESPACE, child)
    assert found is not None
    return str(found["metadata"]["labels"][labels.VARIANT])


def _is_called(w: RoutedWorld, name: str, revision: str) -> bool:
    """A caller of the name may be sent to this revision, now or by what is written already."""
    direct = {e["targetRef"]["name"] for e in w.endpoints_of(name)}
    if any(pod["metadata"]["name"] in direct for pod in w.pods(revision)):
        return True
    return w.behind_routers(name) and w.share(name, revision) > 0


def _targets(host: Json) -> Iterator[str]:
    for route in host["routes"]:
        for each in route.get("route", {}).get("weighted_clusters", {}).get("clusters", ()):
            assert ClusterName.parse(each["name"]) is not None
            yield each["name"]
