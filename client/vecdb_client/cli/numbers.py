"""Numbers inside the values of options."""

MOST_DIGITS = 18
"""More digits than these have no numbers that an option takes; Python refuses to read thousands of them."""


def whole(text: str) -> int | None:
    """Return the whole number that a text of digits means; None: it is none, or larger than any that is taken."""
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None
