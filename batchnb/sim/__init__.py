"""A simulator of the Message Batches API: a real HTTP server on loopback. Imports nothing else of batchnb.

Use it from Python by `Simulator`, or from a shell by ``python -m batchnb.sim``.
"""

from batchnb.sim.app import Call
from batchnb.sim.batches import Limits, Recorded
from batchnb.sim.catalogue import Model
from batchnb.sim.faults import KINDS, Fault
from batchnb.sim.folder import StateError, StateInUseError
from batchnb.sim.responder import Reply, count_tokens, respond
from batchnb.sim.server import Simulator
from batchnb.sim.wire import Clock

__all__ = [
    "KINDS",
    "Call",
    "Clock",
    "Fault",
    "Limits",
    "Model",
    "Recorded",
    "Reply",
    "Simulator",
    "StateError",
    "StateInUseError",
    "count_tokens",
    "respond",
]
