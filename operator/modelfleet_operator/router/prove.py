"""Can this be served? Envoy refuses a whole file for one mistake, and accepts some mistakes that
answer 503: so each site is checked before it is written. Answers are sentences; none: it can.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from modelfleet_operator.router import names
from modelfleet_operator.router.site import (
    WHOLE,
    Arm,
    Intervals,
    Match,
    Mirror,
    Site,
    StickyCookie,
    StickyHeader,
)

LONGEST_NAME: Final = 63
MOST_PIECES: Final = 256

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\.?", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\U0010ffff]*")
_RESERVED: Final = frozenset({names.SITE_HEADER, names.DRAW_HEADER})


def faults(site: Site) -> list[str]:
    """What keeps this site from being served, by itself."""
    return [
        *_name("the name of the ModelDeployment", site.name),
        *_ports(site),
        *_arms(site),
        *_split("the weights", site, site.intervals),
        *_matches(site),
        *_sticky(site),
        *_mirrors(site),
        *_limits(site),
    ]


def _name(what: str, name: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield (
            f"{what} is {name!r}: write lower-case letters, digits and dashes only "
            "(a dot would end the name in the statistics)."
        )
    elif len(name) > LONGEST_NAME:
        yield f"{what} has {len(name)} characters: write at most {LONGEST_NAME}."


def _ports(site: Site) -> Iterator[str]:
    for what, port in (("HTTP", site.http_port), ("gRPC", site.grpc_port)):
        if not names.FIRST_SITE_PORT <= port <= names.LAST_SITE_PORT:
            yield (
                f"the {what} port on the router is {port}: take one from "
                f"{names.FIRST_SITE_PORT} to {names.LAST_SITE_PORT}."
            )
    if site.http_port == site.grpc_port:
        yield f"HTTP and gRPC have the same port on the router, {site.http_port}: take two."


def _arms(site: Site) -> Iterator[str]:
    for revision, times in Counter(arm.revision for arm in site.arms).items():
        if times > 1:
            yield f"revision {revision} is there {times} times: name it once."
    for arm in site.arms:
        yield from _name("the name of a revision", arm.revision)
        yield from _reachable(arm)


def _reachable(arm: Arm) -> Iterator[str]:
    if not _HOST.fullmatch(arm.host) or len(arm.host) > 254:
        yield f"revision {arm.revision} has the host {arm.host!r}: write its Service's full name."
    for port in (arm.http_port, arm.grpc_port):
        if port is not None and not 1 <= port <= 65535:
            yield f"revision {arm.revision} has the port {port}: write one from 1 to 65535."
    for address in arm.addresses:
        if not _is_address(address):
            yield f"revision {arm.revision} has the address {address!r}: write a pod's IP address."


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _split(what: str, site: Site, split: Intervals) -> Iterator[str]:
    known = {arm.revision for arm in site.arms}
    for revision in dict.fromkeys(each.revision for each in split):
        if revision not in known:
            yield f"{what} name the revision {revision}, which the router is not told how to reach."
    for each in split:
        if each.parts < 0:
            yield f"{what} give {each.revision} {each.parts} parts: write 0 or more."
    total = sum(each.parts for each in split)
    if total != WHOLE:
        yield f"{what} sum to {total}: they must sum to {WHOLE}."
    if len(split) > MOST_PIECES:
        yield f"{what} are in {len(split)} pieces: at most {MOST_PIECES} are served."


def _matches(site: Site) -> Iterator[str]:
    before: list[Match] = []
    for number, match in enumerate(site.matches, start=1):
        what = f"match {number}"
        yield from _split(f"the weights of {what}", site, match.to)
        if not match.headers and match.path_prefix == "/":
            yield f"{what} matches every request: give it a header or a path, or take it out."
        if not match.path_prefix.startswith("/"):
            yield f"{what} has the path {match.path_prefix!r}: begin it with /."
        if not _VALUE.fullmatch(match.path_prefix) or set("?# ") & set(match.path_prefix):
            yield f"{what} has the path {match.path_prefix!r}: leave out spaces, ? and #."
        for header in match.headers:
            yield from _header(what, header.name)
            if not _VALUE.fullmatch(header.value):
                yield f"{what} has a value of {header.name} with a line break or a control in it."
        for earlier, other in enumerate(before, start=1):
            if _hides(other, match):
                yield f"{what} is never reached: match {earlier} takes all of its requests."
        before.append(match)


def _hides(first: Match, second: Match) -> bool:
    """Whether everything that `second` matches is taken by `first`."""
    ours = {(header.name.lower(), header.value) for header in first.headers}
    theirs = {(header.name.lower(), header.value) for header in second.headers}
    return ours <= theirs and second.path_prefix.startswith(first.path_prefix)


def _header(what: str, name: str) -> Iterator[str]:
    if not _TOKEN.fullmatch(name):
        yield f"{what} has the header {name!r}: write a header's name, without spaces or a colon."
    elif name.lower() in _RESERVED:
        yield f"{what} has the header {name}, which the router itself writes: take another."


def _sticky(site: Site) -> Iterator[str]:
    match site.sticky:
        case StickyHeader(name):
            yield from _header("sticky", name)
        case StickyCookie(name, max_age_s):
            if not _TOKEN.fullmatch(name) or "%" in name:
                yield f"sticky has the cookie {name!r}: write letters, digits, - and _."
            if max_age_s < 1:
                yield f"sticky has a cookie for {max_age_s} seconds: write 1 or more."
        case None:
            pass


def _mirrors(site: Site) -> Iterator[str]:
    known = {arm.revision for arm in site.arms}
    for revision, times in Counter(mirror.revision for mirror in site.mirrors).items():
        if times > 1:
            yield f"{revision} is mirrored to {times} times: name it once."
    for mirror in site.mirrors:
        yield from _mirror(mirror, known)


def _mirror(mirror: Mirror, known: set[str]) -> Iterator[str]:
    if mirror.revision not in known:
        yield (
            f"requests are mirrored to {mirror.revision}, which the router is not told how to "
            "reach."
        )
    if not 0 <= mirror.parts <= WHOLE:
        yield f"{mirror.revision} is mirrored {mirror.parts} parts: write 0 to {WHOLE}."


def _limits(site: Site) -> Iterator[str]:
    if not 0 < site.timeout_s <= 24 * 3600:
        yield f"the timeout is {site.timeout_s:g} s: write one above 0 s and up to 24 h."
    if not 0 <= site.retry_body_bytes < 2**32:
        yield f"bodies of {site.retry_body_bytes} bytes are kept: write 0 to {2**32 - 1}."
