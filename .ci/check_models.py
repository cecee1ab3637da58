"""Exit with 1 unless all models of a run in floats, and some in 8 bits, passed their checks: check_models.py RUN."""

import sys

from orchestrator import open_run

models = open_run(sys.argv[1]).models()
accepted, int8 = models["status"] == "ok", models["kind"] == "int8"
refused = models[~accepted & ~int8]
if len(refused) or not (accepted & int8).any():
    print((models if refused.empty else refused)[["id", "status", "reason"]].to_string(), file=sys.stderr)
    raise SystemExit(1)
print(f"{accepted.sum()} of {len(models)} models passed their checks")
