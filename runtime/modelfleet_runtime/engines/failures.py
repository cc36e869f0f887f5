"""What a framework's exception means: no memory, a dead device, or neither.

Frameworks tell these apart in the text alone, and the same texts come from several of them.
"""

_NO_MEMORY = (
    "bad_alloc",
    "Failed to allocate memory",
    "out of memory",
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
# After one of these every call to the device fails, until the process ends.
_DEAD = (
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
    "misaligned address",
    "illegal instruction was encountered",
    "uncorrectable ECC error",
    "hardware stack error",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch, or another moment, may succeed."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return any(sign in text for sign in _NO_MEMORY)


def is_dead(error: BaseException) -> bool:
    """Whether the device's context is lost: nothing will ever run again in this process."""
    text = str(error)
    return ("CUDA" in text or "cuda" in text) and any(sign in text for sign in _DEAD)
