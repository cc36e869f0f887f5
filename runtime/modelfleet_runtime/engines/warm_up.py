"""Run a model on made-up input before anybody waits for it.

The first run of a model is slow (kernels are chosen, memory is taken), and a model that fails on
the input it declares is not ready. A full batch is tried too: what it needs is needed later.

Free dimensions other than the rows are tried as 1. A model may have no meaning there (a window of
5 samples needs 5), so a failure then is a line in the log and no verdict. A model that runs one
row and not several, or answers with another number of rows, is served without batching.
"""

import logging
from collections.abc import Callable

import numpy as np

from modelfleet_contract import FailureReason
from modelfleet_runtime.errors import CannotServe, OutOfMemory, Refusal, one_line
from modelfleet_runtime.signature import DType, Signature, Tensors

log = logging.getLogger("modelfleet.engine")


def warm_up(run: Callable[[Tensors], Tensors], signature: Signature, rows: int) -> Signature:
    """The signature that holds after the runs.

    Raises `CannotServe` with reason WarmUpFailed or OutOfMemory.
    """
    if not can_be_made(signature):
        log.warning(
            "the model does not declare its inputs' datatypes and shapes, so it is not warmed up"
        )
        return signature
    try:
        _check_rows(run(zeros(signature, 1)), signature, 1)
    except OutOfMemory as error:
        raise CannotServe(
            FailureReason.OUT_OF_MEMORY, f"the model has no memory for one row: {one_line(error)}"
        ) from error
    except _OtherRows as error:
        log.warning("batching is off: %s", error)
        return signature.unbatched()
    except Refusal as error:
        if _has_free_dimensions(signature):
            log.warning(
                "the model does not run with its free dimensions as 1, so it is not warmed up: %s",
                one_line(error),
            )
            return signature
        raise CannotServe(
            FailureReason.WARM_UP_FAILED,
            f"the model fails on zeros of the inputs that it declares: {one_line(error)}",
        ) from error
    if not signature.batched or rows == 1:
        return signature
    try:
        _check_rows(run(zeros(signature, rows)), signature, rows)
    except OutOfMemory as error:
        raise CannotServe(
            FailureReason.OUT_OF_MEMORY,
            f"the model has memory for one row and not for a batch of {rows}; "
            f"lower batching.maxSize or give it more memory: {one_line(error)}",
        ) from error
    except (Refusal, _OtherRows) as error:
        log.warning("batching is off: the model runs one row and not %d: %s", rows, one_line(error))
        return signature.unbatched()
    return signature


def can_be_made(signature: Signature) -> bool:
    """Whether the inputs are declared well enough to make some up."""
    return bool(signature.inputs) and all(
        spec.dtype is not None and spec.shape is not None for spec in signature.inputs
    )


def zeros(signature: Signature, rows: int) -> Tensors:
    """Zeros (empty strings) for every input, free dimensions as 1, the rows' as `rows`."""
    made: Tensors = {}
    for spec in signature.inputs:
        assert spec.dtype is not None
        assert spec.shape is not None
        shape = tuple(1 if size == -1 else size for size in spec.shape)
        if signature.batched:
            shape = (rows, *shape[1:])
        if spec.dtype is DType.BYTES:
            made[spec.name] = np.full(shape, b"", dtype=object)
        else:
            made[spec.name] = np.zeros(shape, spec.dtype.numpy)
    return made


class _OtherRows(Exception):
    pass


def _check_rows(outputs: Tensors, signature: Signature, rows: int) -> None:
    if not signature.batched:
        return
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise _OtherRows(f"output {name} has the shape {array.shape} for {rows} rows")


def _has_free_dimensions(signature: Signature) -> bool:
    for spec in signature.inputs:
        assert spec.shape is not None
        if spec.dtype is DType.BYTES or -1 in (spec.shape[1:] if signature.batched else spec.shape):
            return True
    return False
