"""The desk's teams, and the signature by which messages reach them."""

from typing import Literal

import dspy

Team = Literal["accounts", "app", "billing", "passes", "repairs", "safety", "stations"]


class Route(dspy.Signature):
    """Route a customer's message of a bike-share operator to the team that handles it."""

    text: str = dspy.InputField()
    stations: str = dspy.InputField(desc="what is known of the stations in it")
    team: Team = dspy.OutputField()
