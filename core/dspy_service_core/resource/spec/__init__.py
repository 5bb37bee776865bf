"""The parts of a job's spec: what a job carries, its rows, models and run, with the limits and defaults of each."""
