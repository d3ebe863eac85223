"""Where answers come from, and how that is said, shown and marked. None of the kinds is ever mixed with another."""

from __future__ import annotations

from enum import Enum

__all__ = ["Provenance"]


class Provenance(Enum):
    """Where answers come from. Its value is the word for such answers."""

    #: The API, or a server that stands for it.
    API = "real"
    #: The simulator: made up, and free.
    SIMULATOR = "simulated"

    @classmethod
    def of(cls, simulator: str | None) -> Provenance:
        """Return where the answers of a simulator of that id come from; of none, those of the API."""
        return cls.API if simulator is None else cls.SIMULATOR

    @property
    def word(self) -> str:
        """What such answers are called: ``"real"``, ``"simulated"``."""
        return str(self.value)

    @property
    def badge(self) -> str:
        """What stands at them wherever they are shown; empty for those of the API."""
        return "" if self is Provenance.API else self.word.upper()

    @property
    def lead(self) -> str:
        """The badge as lines of text begin with it; empty where there is none."""
        return f"[{self.badge}] " if self.badge else ""

    @property
    def simulated(self) -> bool:
        """Whether they are simulated: what columns of that name say, in frames, files and tables of databases."""
        return self is Provenance.SIMULATOR

    @property
    def marks(self) -> dict[str, bool]:
        """The columns that only marked answers have in files: none for those of the API."""
        return {"simulated": True} if self.simulated else {}

    @property
    def is_free(self) -> bool:
        """Whether nothing was paid for them, so that a cost is what they would have cost."""
        return self.simulated
