"""The one error that users are meant to read."""


class UserError(Exception):
    """Something the user can mend: the message names the setting or the row, what was found, and the fix.

    Commands and flows print the message without a traceback and exit with status 2.
    """


class LostProcessError(Exception):
    """A process that was started to help was killed; what was not done can be tried again.

    The message is the setting to lower if it happens again, with what was found.
    """
