"""The part of TorchServe's `ts` that handlers import, written anew for this runtime.

It stands before an installed torchserve, unless MODELFLEET_TS=installed asks for that one.
"""

__version__ = "0.12.0"
"""The version whose handlers run here."""
