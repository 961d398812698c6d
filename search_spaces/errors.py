"""The one exception hierarchy: what went wrong, and what the user can do about it."""


class MetanasError(Exception):
    """Base of all our errors; the command line prints its message in one line.

    Attributes:
        exit_code: 2 where the user can mend it, 1 where the failure is ours.
    """

    exit_code = 2


class SpaceError(MetanasError):
    """A space or a candidate is malformed, or a value lies outside its choice."""


class IllegalCandidateError(SpaceError):
    """Every value is allowed, but not together: refused before training, not counted."""


class RuleError(MetanasError):
    """A rule or an architecture cannot do what is asked of it."""


class UnknownNameError(MetanasError):
    """No family, controller, rule or architecture of that name; the known ones are listed."""


class DataError(MetanasError):
    """The user's data cannot be read, or does not hold what was asked of it."""


class StoreError(MetanasError):
    """The store cannot be opened, read or written."""


class NoStoreError(StoreError):
    """There is no store yet."""


class LearnerFileError(MetanasError):
    """A learner file is broken, altered, foreign or too new."""


class BudgetError(MetanasError):
    """A budget, or another number of the command line, makes no sense."""


class DeviceError(MetanasError):
    """The device asked for is not there."""


class EvaluationError(MetanasError):
    """Our failure: nothing could be trained or scored."""

    exit_code = 1


class NoRoomError(EvaluationError):
    """Not even one task fits into memory."""
