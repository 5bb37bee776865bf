"""A DSPy program as it is, optimized: a first reader, a second who knows its answer, and the tool that they share.

dspy-service up                                        (in one terminal)
python -m dspy_service_local.demo.model --port 8901    (in another; or give a model of your own)
python examples/optimize.py [MODEL]
"""

import sys
from pathlib import Path

import dspy
from signature import Route

from dspy_service import Client, read_rows

HERE = Path(__file__).parent
HUMBLE = "http://127.0.0.1:8901/v1"
STATIONS = ("Harbour", "Mill Street", "Tannery Lane", "Theatre Square", "East Gate", "Rosenau")


def stations(text: str) -> list[str]:
    """The stations that a message names."""
    return [name for name in STATIONS if name.lower() in text.lower()]


class Decide(Route):
    """Route the message again, knowing the stations that it names and a first guess."""

    stations: list[str] = dspy.InputField()
    guess: str = dspy.InputField()


class Desk(dspy.Module):
    def __init__(self, find=stations):
        super().__init__()
        self.find = find
        self.guess = dspy.Predict(Route)
        self.decide = dspy.ChainOfThought(Decide)

    def forward(self, text: str):
        guess = self.guess(text=text).team
        return self.decide(text=text, stations=self.find(text), guess=guess)


def right_team(gold, pred, trace=None):
    return gold.team == pred.team


def main(model: str = "") -> None:
    dspy.configure(lm=dspy.LM(model) if model else dspy.LM("openai/humble-1", api_base=HUMBLE, api_key="none"))
    rows = [dspy.Example(**row).with_inputs("text") for row in read_rows(HERE / "tickets.jsonl")]
    with Client() as client:
        optimizer = dspy.MIPROv2(metric=right_team, auto="medium")
        job = client.optimize(
            Desk(), metric=right_team, trainset=rows, optimizer=optimizer, split=(0.5, 0.1, 0.4), seed=7
        )
        done = job.wait()
        print(done)  # the verdict first: only `improved` says that the program is the better one
        better = done.load_into(Desk)
        print(better(text="The dock at Rosenau is dark, no bike comes out").team)


if __name__ == "__main__":
    main(*sys.argv[1:])
