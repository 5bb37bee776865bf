"""The `OptimizationJob`: its models, names, conditions, the code it carries and the order in which jobs run."""
