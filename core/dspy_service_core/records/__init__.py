"""What is told of a run, declared once: the optimizer writes these records, the reporter carries them into the status
and the store, the operator and the API read them, and the resource's schema is made from them.

`run` and `events` are the declarations, `record` reads and writes by them, `values` makes single values harmless. Free
of pydantic and of dspy: the reporter stays small, and the optimizer loads nothing for it.
"""
