"""From the document to a served model: prove, recognise, load, warm up."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from modelfleet_contract import Batching, FailureReason, ModelFormat, ModelValue, ServeDocument
from modelfleet_runtime import cpus
from modelfleet_runtime.batching.batcher import Batcher
from modelfleet_runtime.batching.pace import Pace
from modelfleet_runtime.batching.served import Served
from modelfleet_runtime.batching.worker import Worker
from modelfleet_runtime.engines.engine import FUNCTIONS, Engine, engine_for
from modelfleet_runtime.engines.warm_up import can_be_made, zeros
from modelfleet_runtime.errors import CannotServe, Refusal, one_line
from modelfleet_runtime.experiment.returned import check, declared, seen
from modelfleet_runtime.gpus import gpus
from modelfleet_runtime.metrics import Metrics
from modelfleet_runtime.packages.find import existing, find, look
from modelfleet_runtime.packages.package import Match, Package, Wishes
from modelfleet_runtime.signature import Signature
from modelfleet_runtime.sources import digest
from modelfleet_runtime.tracing import Tracing

log = logging.getLogger("modelfleet.load")

NO_VERSION = "1"
"""The version in addresses and answers where the document names none."""


def recognised(document: ServeDocument, location: Path) -> Package | None:
    """What lies there, before anything of it is loaded or run: its own routes are there while it
    loads, and say so. None where it cannot be told; `load` says why."""
    wanted = document.model.format
    try:
        if wanted is ModelFormat.AUTO:  # others are read once: reading may mean to unpack
            matches = [fmt for fmt, verdict in look(location) if isinstance(verdict, Match)]
            wanted = matches[0] if matches else wanted
        return find(location, document.model.format) if wanted in FUNCTIONS else None
    except (CannotServe, OSError):
        return None


async def load(
    document: ServeDocument,
    location: Path,
    threads: int | None,
    metrics: Metrics,
    worker: Worker,
    on_dead: Callable[[str], None] | None = None,
    tracing: Tracing | None = None,
) -> tuple[Served, Engine]:
    """The model at `location`, ready to answer. Everything slow runs on the engine's thread.
    `on_dead` hears once why nothing will run again.

    Raises `CannotServe`.
    """
    engine, signature, package, batching = await worker.call(
        lambda: _load(document, location, threads or cpus.usable_cpus())
    )
    metrics.devices(await worker.call(gpus))
    worker.grow(engine.slots)
    try:
        batcher = Batcher(
            engine.run,
            signature,
            _within(batching, signature),
            metrics,
            worker,
            asyncio.get_running_loop(),
            Pace(engine.computes),
            slots=engine.slots,
            on_dead=on_dead,
            tracing=tracing,
        )
    except ValueError as error:
        raise CannotServe(FailureReason.DOCUMENT_INVALID, str(error)) from error
    served = Served(
        document.name,
        document.model.version or NO_VERSION,
        package.format.value,
        batcher,
        getattr(engine, "preprocess", None),
        getattr(engine, "postprocess", None),
        package.archive,
        package.wishes,
        engine.slots,
    )
    return served, engine


def _check_values(values: Sequence[ModelValue], engine: Engine, signature: Signature) -> None:
    """Whether they can be taken from what the model gives. Where it does not declare its outputs
    they are seen on zeros; where it does not declare its inputs either, at the first answer.

    Raises `CannotServe`.
    """
    if not values:
        return
    outputs = declared(signature)
    if outputs is None and can_be_made(signature):
        try:
            outputs = seen(engine.run(zeros(signature, 1)))
        except Refusal as error:
            log.warning("the values are not checked before the first answer: %s", error.message)
    if outputs is not None:
        check(values, outputs)


def _bounded(package: Package, document: ServeDocument) -> Package:
    """Functions have no longer for a request than its client waits: then their process is ended,
    and started anew for the others."""
    if package.format not in FUNCTIONS:
        return package
    longest = document.timeout / timedelta(seconds=1)
    return replace(package, wishes=replace(package.wishes, run_seconds=longest))


def _check_takes_tensors(package: Package, document: ServeDocument) -> None:
    if document.values and package.format in FUNCTIONS:
        raise CannotServe(
            FailureReason.UNSUPPORTED,
            f"a value is taken from a tensor that the model returns, and a {package.format} "
            "package returns none; leave the values out, and post them to /feedback",
        )


def _as_wished(batching: Batching, wishes: Wishes) -> Batching:
    """The settings within the bounds that the package names: of the two the stricter holds."""
    rows = wishes.batch_rows
    if rows is not None and rows < batching.max_size:
        log.info("batches have %d rows at most: the package says so", rows)
        batching = _of_size(batching, rows)
    update: dict[str, object] = {}
    if wishes.batch_delay is not None and wishes.batch_delay < batching.max_delay:
        log.warning("a batch waits for %s at most: the package says so", wishes.batch_delay)
        update["max_delay"] = wishes.batch_delay
    if wishes.queue_size is not None and wishes.queue_size < batching.queue_size:
        log.info("%d requests wait at most: the package says so", wishes.queue_size)
        update["queue_size"] = wishes.queue_size
    return batching.model_copy(update=update)


def _within(batching: Batching, signature: Signature) -> Batching:
    """The settings, with no larger batches than the model itself takes."""
    most = signature.most_rows
    if most is None or most >= batching.max_size:
        return batching
    log.warning("batches have at most %d rows: the model takes no more", most)
    return _of_size(batching, most)


def _of_size(batching: Batching, most: int) -> Batching:
    preferred = [size for size in batching.preferred_sizes if size <= most]
    return batching.model_copy(update={"max_size": most, "preferred_sizes": preferred})


def _load(
    document: ServeDocument, location: Path, threads: int
) -> tuple[Engine, Signature, Package, Batching]:
    began = time.monotonic()
    try:
        existing(location)
        if document.model.digest is not None and not document.model.fetched:
            digest.verify(location, document.model.digest, document.model.uri)
        package = find(location, document.model.format)
        package = _bounded(find(location, document.model.format), document)
        _check_takes_tensors(package, document)
        engine = engine_for(package, document.engine, threads)
        batching = _as_wished(document.batching, package.wishes)
        rows = _within(batching, engine.load()).max_size
        signature = engine.warm_up(rows)
        _check_values(document.values, engine, signature)
    except CannotServe:
        raise
    except MemoryError as error:
        raise CannotServe(
            FailureReason.OUT_OF_MEMORY, "there is not enough memory to load the model"
        ) from error
    except (SystemExit, KeyboardInterrupt) as error:
        # Of the author's code (signals come to the main thread): it would end us without a word.
        log.exception("loading failed")
        raise CannotServe(
            FailureReason.MODEL_INVALID,
            f"the model's code ended the process while it was loaded ({type(error).__name__})",
        ) from error
    except Exception as error:
        log.exception("loading failed")
        raise CannotServe(
            FailureReason.CRASHED,
            f"loading the model failed: {type(error).__name__}: {one_line(error)}",
        ) from error
    log.info(
        "loaded %s (%s, %d threads, %s) in %.2f s: takes %s, gives %s",
        package.main,
        package.format,
        threads,
        "batched" if signature.batched else "one request at a time",
        time.monotonic() - began,
        "; ".join(spec.describe() for spec in signature.inputs) or "anything",
        "; ".join(spec.describe() for spec in signature.outputs) or "anything",
    )
    return engine, signature, package, batching
