"""What is known of DSPy's optimizers before they run, by family.

A family says which arguments its optimizers refuse beyond their types (`objections`, for a submit's checks; `cel_of_*`,
for the CRD), which rows they score a candidate on, and how often they will call the metric and the models (`calls`, for
a run's progress and for estimates). All of it is pure: it depends on the options, the rows of each split and the number
of predictors. Read in dspy 3.4.1's source; `tests/unit/runner/optimizer/test_calls.py` holds it to what dspy does.

    family_table -> families -> family -> options, calls
"""
