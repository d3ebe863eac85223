"""How answers vary: by text, model, prompt and request, and most where a text says little.

What people see when they compare models, prompts and samples: most answers are the same, and those that differ are of
the same texts, the ones on which people would differ too. So the larger part of the noise is a text's own, and the
same for every model; the rest is a model's, a prompt's and a single request's. All of it is a pure function of the
simulator's seed and the request.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from batchnb.sim.model.accuracy import wavering
from batchnb.sim.model.sentiment import Evidence

__all__ = ["NONE", "Noise", "noise_of"]

#: How much of the variance is a text's own, a model's, a prompt's and a single request's; together 1.
_VARIANCES = (0.78, 0.09, 0.06, 0.07)
_TEXT, _MODEL, _PROMPT, _REQUEST = (math.sqrt(share) for share in _VARIANCES)
#: How far a model, and a prompt with it, leans to the good or the bad side of all texts, in standard deviations.
_LEANING = 0.08

#: A draw is the sum of so many bytes: nearly normal, and never beyond 3.5 standard deviations, so that what a text says
#: plainly is answered plainly by every model.
_BYTES = 4
_MEAN, _DEVIATION = _BYTES * 255 / 2, math.sqrt(_BYTES * (256**2 - 1) / 12)
#: The first is for sentiment, the others for whatever else is decided.
_SLOTS = 64 // _BYTES

#: Standard deviation of what is read from no word at all, and from any; more where words contradict each other, less
#: where they say more than one plain word does, by that much for each point.
_NOTHING, _SAID, _CONTRADICTED, _MOST_CONTRADICTED = 0.15, 0.75, 0.25, 3.0
_PLAIN, _PLAINER = 2.0, 0.3
#: Of two words, one that is plain is much: texts of less than 60 characters are read with less noise.
_SHORT, _LONG = 0.4, 100
#: Standard deviation of how well a label fits that has no word of the text, and of one that has.
_UNNAMED, _NAMED = 0.12, 0.25


class Noise:
    """What one request draws, for one text, by one model.

    Parameters
    ----------
    levels
        64 random bytes each of the text, the model, the prompt and the request, with their weights.
    spread
        The standard deviation of a draw; 0 for none.
    leaning
        What is added to every draw about sentiment, in standard deviations.
    """

    __slots__ = ("_leaning", "_levels", "_spread")

    def __init__(self, levels: tuple[tuple[bytes, float], ...], spread: float, leaning: float) -> None:
        self._levels, self._spread, self._leaning = levels, spread, leaning

    def _draw(self, slot: int) -> float:
        start = slot * _BYTES
        total = 0.0
        for drawn, weight in self._levels:
            total += weight * (sum(drawn[start : start + _BYTES]) - _MEAN)
        return total / _DEVIATION * self._spread

    def evidence(self, said: Evidence, length: int) -> Evidence:
        """Return the sentiment of a text of so many characters as it is read this time."""
        if not self._spread:
            return said
        positive, negative = said
        weaker = min(positive, negative, _MOST_CONTRADICTED)
        deviation = _NOTHING + _SAID * min(1.0, positive + negative) + _CONTRADICTED * weaker
        difference = positive - negative
        deviation *= min(1.0, _SHORT + length / _LONG)
        deviation /= 1 + _PLAINER * max(0.0, abs(difference) - _PLAIN)
        shift = deviation * (self._draw(0) + self._leaning * self._spread)
        difference += shift
        positive = max(0.0, positive + shift / 2, difference)
        return Evidence(positive, positive - difference)

    def fit(self, score: float, place: int) -> float:
        """Return how well a label, or a yes, fits as it is read this time.

        Parameters
        ----------
        score
            How well it fits by the words: 0 where it has none of the text's.
        place
            Which draw is taken, any whole number of at least 0: the same for the same place at every call.
        """
        if not self._spread:
            return score
        return score + self._draw(1 + place % (_SLOTS - 1)) * (_NAMED if score else _UNNAMED)


#: No noise: what the words of a text say.
NONE = Noise((), 0.0, 0.0)


def noise_of(
    params: Mapping[str, Any], passage: str, instruction: str, *, seed: int, rng: random.Random, amount: float
) -> Noise:
    """Return the noise of a request.

    Parameters
    ----------
    params
        The request: its ``model``, and its ``temperature``, at 0 of which samples agree.
    passage, instruction
        The text that it is about, and what is asked of it.
    seed
        The simulator's.
    rng
        The request's own.
    amount
        1 for as much as a model has, 0 for none.
    """
    if not amount:
        return NONE
    name = params.get("model")
    model = name if isinstance(name, str) else ""
    temperature = params.get("temperature")
    warmth = min(max(float(temperature), 0.0), 1.0) if isinstance(temperature, int | float) else 1.0
    spread, leaning = _habits(seed, model, instruction)
    # Each level goes on from the one before it: one pass over the text serves all.
    running = blake2b(b"%d\n" % seed + _bytes(passage))
    text = running.digest()
    running.update(_bytes(f"\n{_undated(model)}\n"))
    of_model = running.digest()
    running.update(_bytes(instruction))
    of_prompt = running.digest()
    running.update(b"%d" % rng.getrandbits(64))
    levels = ((text, _TEXT), (of_model, _MODEL), (of_prompt, _PROMPT), (running.digest(), _REQUEST * warmth))
    return Noise(levels, amount * spread, leaning)


# The rows of a batch share their model and their instruction.
@lru_cache(maxsize=256)
def _habits(seed: int, model: str, instruction: str) -> tuple[float, float]:
    """Return how much a model wavers, and to which side it leans under an instruction."""
    undated = _undated(model)
    leans = (b"%d\n" % seed + _bytes(undated), b"%d\n" % seed + _bytes(f"{undated}\n{instruction}"))
    drawn = [(sum(blake2b(lean, digest_size=_BYTES).digest()) - _MEAN) / _DEVIATION for lean in leans]
    return wavering(undated), _LEANING * sum(drawn)


def _undated(model: str) -> str:
    """Return a model's name without its date: a model and its alias are one."""
    name, _, date = model.rpartition("-")
    return name if len(date) == 8 and date.isdigit() else model


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
