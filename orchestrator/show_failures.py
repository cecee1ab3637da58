"""The failed trials of a run in the terminal: errors, and what was printed before them."""

from __future__ import annotations

import re
import shlex

import pandas as pd
from rich.console import Console

from orchestrator.run_folder import Run
from orchestrator.trial_log import LOGS, last_lines
from trainables.failure import shorten_middle

_LINES = 3
"""Lines of a trial's output that are shown with its error."""
_LENGTH = 200
"""Characters of such a line."""
_SEE = re.compile(rf"; see {LOGS}/\S+\.log$")


def print_failures(console: Console, run: Run, trials: pd.DataFrame) -> None:
    """Print each error once, with the trials that failed by it and the last lines that the first of them printed."""
    failed = trials[trials["status"] == "failed"]
    for error, group in failed.groupby(failed["error"].str.replace(_SEE, "", regex=True), sort=False):
        console.print(f"{len(group)} failed ({', '.join(group['trial'].head(5))}): {error}", markup=False)
        for line in _output(run, group["trial"].iloc[0]):
            console.print(f"  | {shorten_middle(line, _LENGTH)}", markup=False, highlight=False)
    if not failed.empty:
        command = f"halving logs {shlex.quote(str(run.folder))} {failed['trial'].iloc[0]}"
        console.print(
            f"tracebacks and output are in the logs: {command}", markup=False, highlight=False, soft_wrap=True
        )


def _output(run: Run, trial: str) -> list[str]:
    try:
        return last_lines(run.folder, trial, _LINES)
    except OSError:  # the run's tables can be shown without
        return []
