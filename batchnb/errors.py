"""The exception tree: every error batchnb raises on purpose.

``except BatchnbError`` catches them all. Each message says what happened, to which row or job, and what to do next.
Errors of the SDK never leave :mod:`batchnb.api`; they are turned into :class:`ApiError` and its children.

::

    BatchnbError
    ├── InputError            a frame, column, argument or row that cannot be used (also a ValueError)
    │   └── TemplateError     a template that would send the wrong text
    ├── CredentialsError      no API key, or one that the server refused
    ├── ApiError              the server answered with an error, or did not answer
    │   ├── RefusedError      nothing was made; the status and message say why
    │   ├── NotFoundError     no such batch or model
    │   └── AmbiguousError    no usable answer: the server may or may not have acted
    ├── LedgerError           the ledger cannot be read or written
    ├── JobNotFoundError      no such job in this ledger (also a KeyError)
    ├── JobStateError         the job is not in a state that allows this
    └── ResultTimeoutError    waited as long as asked (also a TimeoutError)

    RecipeChangedWarning      rows are about to be asked, and paid for, again (a UserWarning)
"""

from __future__ import annotations

from batchnb.units import clean

__all__ = [
    "AmbiguousError",
    "ApiError",
    "BatchnbError",
    "CredentialsError",
    "InputError",
    "JobNotFoundError",
    "JobStateError",
    "LedgerError",
    "NotFoundError",
    "RecipeChangedWarning",
    "RefusedError",
    "ResultTimeoutError",
    "TemplateError",
]


#: Types of an `ApiError` whose call never left this machine, or the network it is in: no connection to the server, none
#: that is secure, or none that a proxy lets through. Nothing was made, and waiting, or another setting, may help.
UNREACHED = frozenset({"unreachable", "tls", "proxy"})

#: How an error ends where it stands for all that could have happened.
NOT_SENT = "Nothing was sent."


#: Characters of a message that are shown.
LIMIT = 4_000


class BatchnbError(Exception):
    """Base of every error batchnb raises on purpose. What it says is harmless to a terminal, whatever it quotes."""

    def __str__(self) -> str:
        # Not super(): a KeyError, as one of these is, shows the repr of its argument.
        return clean(Exception.__str__(self), LIMIT, lines=True)


class InputError(BatchnbError, ValueError):
    """A frame, column, argument or row that cannot be used. Nothing was sent."""


class TemplateError(InputError):
    """A template that would send, and bill, the wrong text. The message shows the right form."""


class CredentialsError(BatchnbError):
    """No API key was found, or the server refused the one in use. Nothing was sent."""


class ApiError(BatchnbError):
    """The server answered with an error, or did not answer.

    Parameters
    ----------
    message : str
        What happened, without any secret.
    status : int, optional
        The HTTP status; None where no answer came.
    type : str, optional
        The API's own error type, such as ``rate_limit_error``; or ``unreachable``, ``tls`` or ``proxy`` where the call
        never came to the server, ``no_answer`` where it may have.
    retry_after : float, optional
        Seconds the server asked to wait.
    """

    def __init__(
        self, message: str, *, status: int | None = None, type: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.retry_after = retry_after


class RefusedError(ApiError):
    """The server refused: nothing was made by this call."""


class NotFoundError(RefusedError):
    """The server knows no such batch, file or model."""


class AmbiguousError(ApiError):
    """No usable answer came: the server may or may not have acted on the call."""


class LedgerError(BatchnbError):
    """The ledger cannot be read or written. The message names the file and the way out."""


class JobNotFoundError(BatchnbError, KeyError):
    """No such job in this ledger."""


class JobStateError(BatchnbError):
    """The job is not in a state that allows this."""


class ResultTimeoutError(BatchnbError, TimeoutError):
    """The job had not ended within the time given. The job itself goes on."""


class RecipeChangedWarning(UserWarning):
    """Rows that an earlier job has asked are asked again, since the recipe differs. The message says in what.

    It comes before anything is recorded or sent: made an error by
    ``warnings.simplefilter("error", batchnb.RecipeChangedWarning)``, it stops the job.
    """
