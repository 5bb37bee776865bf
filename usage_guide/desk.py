"""A help desk of a bike-share operator, as a DSPy program of three predictors, a tool and a helper module."""

import dspy
from places import station_status, tidy
from teams import Route, RouteKnowing, Settle


class Desk(dspy.Module):
    """Two readers each choose a team; where they differ, a third settles it."""

    def __init__(self, look_up=station_status):
        super().__init__()
        self.look_up = look_up
        self.quick = dspy.Predict(Route)
        self.careful = dspy.ChainOfThought(RouteKnowing)
        self.settle = dspy.Predict(Settle)

    def forward(self, text: str):
        text = tidy(text)
        quick = self.quick(text=text).team
        careful = self.careful(text=text, stations=self.look_up(text)).team
        if quick == careful:
            return dspy.Prediction(team=quick)
        return dspy.Prediction(team=self.settle(text=text, quick=quick, careful=careful).team)
