"""A simulator of the Message Batches API: a real HTTP server on loopback. Imports nothing else of batchnb.

Use it from Python by `Simulator`, or from a shell by ``python -m batchnb.sim``.
"""

from batchnb.sim.model.responder import Reply, count_tokens, respond
from batchnb.sim.server.app import Call
from batchnb.sim.server.faults import KINDS, Fault
from batchnb.sim.server.simulator import Simulator
from batchnb.sim.state.batches import Limits, Recorded
from batchnb.sim.state.catalogue import Model
from batchnb.sim.state.folder import StateError, StateInUseError
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
