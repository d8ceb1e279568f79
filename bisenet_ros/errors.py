"""Every error this package raises on purpose.

Messages say what was found, what was expected and what to do. ``exit_code`` is what the command
line returns for it (spec: 1 a bar not met, 2 a wrong argument, 3 bad input data).
"""


class BisenetError(Exception):
    """Base of all errors that are the input's fault, not the program's."""

    exit_code = 3


class ArgumentError(BisenetError):
    """An argument or parameter is out of range, or asks for what this machine does not have."""

    exit_code = 2


class DataError(BisenetError):
    """Input data (image, label, bag, message) is missing, broken or inconsistent."""


class WeightsError(BisenetError):
    """A weights file is missing, broken, or at odds with what was asked of it."""


class BarNotMet(BisenetError):
    """A measured figure misses the bar the caller set."""

    exit_code = 1
