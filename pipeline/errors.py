"""The one error that users are meant to read."""


class UserError(Exception):
    """Something the user can mend: the message names the setting or the row, what was found, and the fix.

    Commands and flows print the message without a traceback and exit with status 2.
    """
