"""Writes the golden files anew: `PYTHONPATH=tests/support python tests/unit/chart/write_golden.py`."""

from pathlib import Path

import helm

HERE = Path(__file__).parent

for values in sorted((HERE / "values").glob("*.yaml")):
    (HERE / "golden" / values.name).write_text(helm.template("--set", "crd.install=false", values=values))
