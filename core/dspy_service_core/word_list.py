"""How settings that are lists are written in the environment: `a,b`."""


def word_list(value: object) -> object:
    """The words of a text; any other value unchanged, which its field's type then checks."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value
