from typing import Literal

import dspy


class Route(dspy.Signature):
    """Route a customer's message of a bike-share operator to the team that handles it."""

    text: str = dspy.InputField()
    team: Literal["accounts", "app", "billing", "passes", "repairs", "safety", "stations"] = dspy.OutputField()
