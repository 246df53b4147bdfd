"""The one error that bad input raises."""


class InputError(ValueError):
    """Input that a user can mend.

    The message names the file, the field, the offending value and the remedy.
    `stores.command_line.run_stage` prints it without a traceback.
    """
