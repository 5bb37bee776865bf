"""The container that runs user code: reads `/job/in`, runs a DSPy optimizer, writes `/job/out`.

It knows nothing of Kubernetes or of the store. A run goes one way: `inputs` -> `validation` (code, models, splits,
preflight) -> `stages` (baseline, `strategies`, final score) -> `artifact` -> `outbox`; beside it `capture` keeps the
logs, `journal` the paid model calls, `progress` the counts and `candidates` the best program so far.
"""
