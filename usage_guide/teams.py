"""The desk's teams, and the signatures by which messages reach them."""

from typing import Literal

import dspy

Team = Literal["accounts", "app", "billing", "passes", "repairs", "safety", "stations"]


class Route(dspy.Signature):
    """Route a customer's message of a bike-share operator to the team that handles it."""

    text: str = dspy.InputField()
    team: Team = dspy.OutputField()


RouteKnowing = Route.append("stations", dspy.InputField(desc="what is known of the stations in the message"), str)


class Settle(dspy.Signature):
    """Two readers sent a customer's message to different teams: settle which one handles it."""

    text: str = dspy.InputField()
    quick: Team = dspy.InputField()
    careful: Team = dspy.InputField()
    team: Team = dspy.OutputField()
