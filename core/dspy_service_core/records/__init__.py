"""All facts of a run, declared once. The optimizer writes these records, the reporter carries them into the status and
the store, the operator and the API read them, and the resource's schema is made from them.

`run`, `events` and `candidates` have the declarations, `record` reads and writes by them, `values` sanitizes single
values; `comparison` finds a verdict and `verdicts` says it. Without pydantic and dspy, so that the reporter stays small
and the optimizer loads nothing more.
"""
