"""What a dataset's rows are to DSPy and to a metric: cells of a type, rows that keep their number, and gold."""
