"""What Rich draws of foreign text: shown, never obeyed (`shown.py`); its markup (`[red]`) is characters like others."""

from rich.text import Text

from dspy_service.display.shown import shown


def text(value: object, style: str = "", *, one_line: bool = False) -> Text:
    """`one_line`: cut where the terminal ends."""
    return Text(shown(value), style, no_wrap=True, overflow="ellipsis") if one_line else Text(shown(value), style)


def parts(*styled: tuple[str, str]) -> Text:
    return Text.assemble(*((shown(value), style) for value, style in styled))
