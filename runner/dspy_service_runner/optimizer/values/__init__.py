"""Makes of a dataset's rows what DSPy and metrics need: typed values, examples that know their row, and gold."""
