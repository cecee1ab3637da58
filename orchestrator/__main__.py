"""`python -m orchestrator` is `halving`."""

from orchestrator.cli import main

main()
