"""Exit codes of the command."""

from __future__ import annotations

NO_RESULT = 1
USER_ERROR = 2
UNFINISHED = 3
INTERRUPTED = 130
TERMINATED = 143

EXIT_CODES = {
    0: "Success. Trials or models may have failed; the tables tell.",
    NO_RESULT: "The search ended and no trial succeeded. Also a fault of halving itself, with a traceback.",
    USER_ERROR: "The command cannot be carried out as written; the message names what to change. Nothing was started.",
    UNFINISHED: "The run had to stop: full or read-only disk, failing store, lost lock. Nothing is lost; resume it.",
    INTERRUPTED: "Ctrl-C. A run can be resumed; `simulate` and `bench` print what was finished.",
    TERMINATED: "SIGTERM. A run can be resumed.",
}
