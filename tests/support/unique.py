"""Names for clusters that outlive a test run."""

import secrets


def unique(word: str) -> str:
    """A name that no earlier run on the same cluster has used."""
    return f"{word}-{secrets.token_hex(3)}"
