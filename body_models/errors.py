"""The one exception for input that a user can put right."""


class InputError(ValueError):
    """Something the user handed in cannot be used; the message says what, where, and what to do next."""
