"""A job from Python: submits the tickets, shows what happens, says whether it improved, and keeps the program.

dspy-service up                                        (in one terminal)
python -m dspy_service_local.demo.model --port 8901    (in another; or give a model of your own)
python examples/submit.py [MODEL]
"""

import sys
from pathlib import Path

from dspy_service import Client, build_payload, read_rows

HERE = Path(__file__).parent


HUMBLE = {"name": "openai/humble-1", "base_url": "http://127.0.0.1:8901/v1"}


def main(model: str = "") -> None:
    payload = build_payload(
        signature=HERE / "signature.py",
        metric=HERE / "metric.py",
        rows=read_rows(HERE / "tickets.jsonl"),
        inputs=["text"],
        outputs=["team"],
        optimizer="miprov2",
        optimizer_kwargs={"auto": "light"},
        model=model or HUMBLE,
        split=(0.5, 0.2, 0.3),
        seed=7,
    )
    with Client() as client:
        job_id = client.submit(payload).job_id
        for update in client.watch(job_id):
            for event in update.events:
                print(event.event, event.metrics)
        job = client.wait(job_id)
        job.raise_unless_success()
        if job.result and job.result.comparison:  # only `improved` says that the program is the better one
            print(job.result.verdict, job.result.comparison.difference, job.result.comparison.interval)
        print("the optimized program:", client.download(job_id, f"program-{job_id}"))


if __name__ == "__main__":
    main(*sys.argv[1:])
