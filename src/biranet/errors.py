"""What can go wrong, in one sentence each.

Every error a user can cause is a `BiranetError`: its message says what is wrong, where, and what to do. The command
line prints the message alone and ends with the error's `exit_status`; a traceback always means a fault of the
program.
"""


class BiranetError(Exception):
    """Base of all errors that a user can cause or must hear of.

    Attributes:
        exit_status: Status with which the command line ends.

    Example:
        >>> import biranet
        >>> try:
        ...     biranet.measure("nowhere.csv")
        ... except biranet.BiranetError as error:
        ...     print(error)
        cannot read nowhere.csv: No such file or directory
    """

    exit_status = 2


class InputError(BiranetError, ValueError):
    """Wrong use or wrong input: a missing folder, a grade of 7, a checkpoint of another version, a full disk.

    Example:
        >>> import biranet
        >>> biranet.measure([0, 1], [0, 1, 2])
        Traceback (most recent call last):
            ...
        biranet.errors.InputError: there are 2 true grades and 3 values of predicted_grade
    """


class RefusedError(BiranetError):
    """A check refused to go on, for example because one patient stands in two parts of a split.

    Example:
        >>> import biranet
        >>> issubclass(biranet.RefusedError, biranet.BiranetError), biranet.RefusedError.exit_status
        (True, 1)
    """

    exit_status = 1


class InterruptedRunError(BiranetError):
    """Work was stopped from outside after its state was saved; the message says how to go on.

    Example:
        >>> import biranet
        >>> issubclass(biranet.InterruptedRunError, biranet.BiranetError), biranet.InterruptedRunError.exit_status
        (True, 130)
    """

    exit_status = 130


class PhotoError(BiranetError):
    """One photo cannot be used. It becomes a row with a status and a reason; it never ends a run.

    Attributes:
        status: Status for the table: `unreadable`, `no_field` or `ungradable`.
        reason: What is wrong, in one sentence; also the text of the error.

    Example:
        >>> import biranet
        >>> try:
        ...     biranet.prepare_photo(b"")
        ... except biranet.PhotoError as error:
        ...     print(f"{error.status}: {error.reason}")
        unreadable: the file is empty
    """

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(status, reason)  # both, so that it passes between processes
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return self.reason
