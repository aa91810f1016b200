"""The one exception for what a user can mend."""


class InputError(ValueError):
    """Bad input, told in one line: what was expected, what came, what to do.

    The command line prints the message alone and exits with status 2.
    """
