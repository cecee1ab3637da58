"""`python -m orchestrator` is `halving`."""

import sys

if not sys.flags.safe_path:
    # `python -m` looks modules up in the current folder first, where a user's random.py would hide Python's.
    sys.path.append(sys.path.pop(0))

from orchestrator.cli import main

main()
