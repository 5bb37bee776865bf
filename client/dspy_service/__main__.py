"""`python -m dspy_service`: the command where its script is not on the path."""

from dspy_service.cli import main

main()
