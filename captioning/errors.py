"""The exception for errors that the user can fix."""


class InputError(ValueError):
    """Bad input, described in one line: what was expected, what came, what to do.

    The command line prints the message alone and exits with status 2.
    """
