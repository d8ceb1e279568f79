"""Every error this package raises on purpose.

Messages say what was found, what was expected and what to do. ``exit_code`` is the exit status of
the command line: 1 threshold not met, 2 wrong argument, 3 bad input data.
"""


class BisenetError(Exception):
    """Base of all errors caused by the input, not by a bug."""

    exit_code = 3


class ArgumentError(BisenetError):
    """An argument or parameter is out of range, or asks for something this machine lacks."""

    exit_code = 2


class DataError(BisenetError):
    """Input data (image, label, bag, message) is missing, broken or inconsistent."""


class WeightsError(BisenetError):
    """A weights file is missing, broken, or does not match the other arguments."""


class NonFiniteOutput(WeightsError):
    """A network computes NaN or infinity, so its masks would mean nothing."""


class BarNotMet(BisenetError):
    """A measured value misses the threshold set by the caller."""

    exit_code = 1
