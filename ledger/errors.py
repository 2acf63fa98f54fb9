"""The errors that reach people: one small hierarchy.

Each error says what happened and where, and its ``hint`` says what to do next. ``exit_code`` is what the
command line returns for it, so that programs can tell the classes apart without reading the words.
"""


class TallyError(Exception):
    """Something a person can act on.

    Parameters
    ----------
    message : str
        What happened and where, one or more plain sentences.
    hint : str
        The next thing to type or change; empty where nothing useful can be said.
    """

    code = "error"
    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(TallyError):
    """What was given cannot be used: a file, a value, a name."""

    code = "invalid-input"


class Refused(TallyError):
    """The answer is no: a rule of the product or of the pipeline file forbids it."""

    code = "refused"
    exit_code = 1


class Conflict(TallyError):
    """Somebody else wrote first, or the same idempotency key came with other content."""

    code = "conflict"
    exit_code = 1


class NotFound(TallyError):
    """There is nothing by that name, or nothing yet at that date."""

    code = "not-found"
    exit_code = 4


class Busy(TallyError):
    """Another process holds the ledger's lock beyond the deadline."""

    code = "busy"
    exit_code = 5


class Damaged(TallyError):
    """Stored bytes contradict their hashes, or cannot be read at all."""

    code = "damaged"
    exit_code = 1


class NewerFormat(TallyError):
    """The ledger was written by a later version of the program; nothing is guessed."""

    code = "newer-format"


class AfterCommit(TallyError):
    """A commit is durable, and something that belongs to it failed afterwards.

    What was asked for is done, so the exit code is 0; asking again would record it twice.

    Parameters
    ----------
    n : int
        The commit.
    cause : TallyError
        What failed after it.

    Attributes
    ----------
    n : int
        The commit that is recorded.
    cause : TallyError
        What failed after it.
    """

    code = "after-commit"
    exit_code = 0

    def __init__(self, n: int, cause: TallyError) -> None:
        super().__init__(f"This is recorded, in c{n}; do not give the command again. But: {cause.message}", cause.hint)
        self.n = n
        self.cause = cause


class MissingExtra(TallyError):
    """A library that only some commands need is not installed; the hint is the line that installs it."""

    code = "missing-extra"
