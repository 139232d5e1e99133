"""Errors that the user can fix."""

from collections.abc import Collection

import click


class UserMistake(click.ClickException):
    """An error that the user can fix: shown as one line, exit code 2."""

    exit_code = 2

    def __init__(self, message: str):
        """As of any exception; what breaks lines in names and values is shown by its escape."""
        super().__init__(printable(message))


def printable(text: str) -> str:
    """A text on one line: what breaks lines, or cannot be printed, as its escape."""
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def plain_digits(text: str) -> bool:
    """Whether a text has neither `_` nor other scripts' digits, with which Python reads 6_1 and ٣ as numbers, too."""
    return "_" not in text and text.isascii()


def one_of(option: str, values: Collection[str], choices: Collection[str]) -> tuple[str, ...]:
    """Validate the values of an option against its choices.

    Args:
        option: As the user spells it, for the message.
        values: The user's values.
        choices: The allowed values.

    Returns:
        The values.

    Raises:
        UserMistake: There is no value, or one of them is not among the choices.
    """
    unknown = [value for value in values if value not in choices]
    if unknown or not values:
        allowed = ", ".join(dict.fromkeys(choices))
        raise UserMistake(f"{option}: {', '.join(unknown) or 'none given'}; choose from {allowed}")
    return tuple(values)
