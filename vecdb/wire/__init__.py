"""Between values and messages: what the client and the server both need to understand each other.

    values     vectors, ids and scalars
    rows       rows, as Arrow has them
    schemas    schemas, fields and indexes
    filters    filters
    formulas   formulas
    queries    queries
    results    hits
    reports    facets, explanations and what else is measured
    errors     errors

Each module has `to_message` and `from_message`, or several of them by name; `from_message(to_message(x)) == x`.

Invariant: reading trusts nothing. Whatever bytes come, the outcome is a checked value or an InvalidInputError, and the
work and the memory that it takes are bounded by the size of the message and by limits that are named here.
"""
