"""Mistakes that the user can put right."""

from collections.abc import Collection

import click


class UserMistake(click.ClickException):
    """Something the user can put right: shown as one line, exit code 2."""

    exit_code = 2

    def __init__(self, message: str):
        """As of any exception; what breaks lines in names and values is shown by its escape."""
        super().__init__("".join(x if x.isprintable() else ascii(x)[1:-1] for x in message))


def one_of(option: str, values: Collection[str], choices: Collection[str]) -> tuple[str, ...]:
    """The values of an option, each of which must be one of the choices.

    Args:
        option: As the user spells it, for the message.
        values: What the user chose.
        choices: What there is to choose from.

    Returns:
        The values.

    Raises:
        UserMistake: There is no value, or one that is not among the choices.
    """
    unknown = [value for value in values if value not in choices]
    if unknown or not values:
        there_is = ", ".join(dict.fromkeys(choices))
        raise UserMistake(f"{option}: {', '.join(unknown) or 'none given'}; choose from {there_is}")
    return tuple(values)
