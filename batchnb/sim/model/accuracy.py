"""How good each model is, for the simulator: larger and newer ones waver less. No figures of real models.

An accuracy here is the share of the right answers of the word lists (the most that the simulator can have right) that a
model has right too, on short reviews to be called positive or negative.
"""

from __future__ import annotations

__all__ = ["ACCURACY", "accuracy_of", "wavering"]

ACCURACY: dict[str, float] = {
    "claude-haiku-4-5": 0.955,
    "claude-haiku-5-5": 0.96,
    "claude-sonnet-4-5": 0.96,
    "claude-sonnet-4-6": 0.962,
    "claude-sonnet-5": 0.965,
    "claude-sonnet-5-5": 0.968,
    "claude-opus-4-5": 0.965,
    "claude-opus-4-6": 0.967,
    "claude-opus-4-7": 0.968,
    "claude-opus-4-8": 0.97,
    "claude-opus-5": 0.972,
    "claude-opus-5-5": 0.975,
    "claude-fable-5": 0.972,
    "claude-fable-5-1": 0.975,
    "claude-fable-5-2": 0.976,
    "claude-mythos-5": 0.976,
    "claude-mythos-5-1": 0.98,
    "claude-mythos-5-2": 0.981,
}
#: That of any other model.
_OTHERS = 0.96


def accuracy_of(model: str) -> float:
    """Return the accuracy of a model by its name without a date."""
    return ACCURACY.get(model, _OTHERS)


def wavering(model: str) -> float:
    """Return the standard deviation of a model's noise that comes to its accuracy.

    Measured on 3,000 reviews of one sentence: 1.0 came to 0.99, 1.2 to 0.98, 1.4 to 0.97, 1.6 to 0.96, 1.8 to 0.95.
    """
    return (1.04 - accuracy_of(model)) / 0.048
