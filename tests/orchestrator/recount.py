"""The figures of a run, counted from the lines of its journal by code that shares nothing with the project's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

SEARCH_EVENTS = {"session", "prior", "propose", "start", "epoch", "fault", "end", "limit"}


def lines(folder: Path) -> list[dict[str, Any]]:
    """The events, parsed by hand: a checksum, a number, JSON."""
    events = []
    for path in sorted((folder / "journal").glob("*.jsonl")):
        for line in path.read_text().splitlines():
            _, number, text = line.split(" ", 2)
            assert int(number) == len(events) + 1
            events.append(json.loads(text))
    return events


def sessions(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    starts = [index for index, event in enumerate(events) if event["event"] == "session"]
    return [events[begin:end] for begin, end in zip(starts, [*starts[1:], len(events)], strict=True)]


def searched(session: list[dict[str, Any]]) -> float:
    """Seconds from the session's first event to its last one of the search."""
    ours = [e for e in session if e["event"] in SEARCH_EVENTS or (e["event"] == "stop" and e["searching"])]
    return float(ours[-1]["time"] - ours[0]["time"])


def elapsed(events: list[dict[str, Any]]) -> float:
    return float(sum(session[-1]["time"] - session[0]["time"] for session in sessions(events)))


def shares(events: list[dict[str, Any]]) -> dict[str, float]:
    """Of the workers' time: what epochs and proposals report, and the time from proposals to first starts."""
    spent: dict[str, float] = {"start": 0.0, "propose": 0.0}
    total = 0.0
    for session in sessions(events):
        total += searched(session) * session[0]["slots"]
        proposed = {e["trial"]: e["time"] for e in session if e["event"] == "propose"}
        begun = set()
        for event in session:
            if event["event"] == "propose":
                spent["propose"] += event["seconds"]
            if event["event"] in ("start", "epoch", "fault") and event["trial"] not in begun:
                begun.add(event["trial"])
                if event["event"] == "start" and event["trial"] in proposed:
                    spent["start"] += event["time"] - proposed[event["trial"]]
            for phase, seconds in event.get("timing", {}).items():
                spent[phase] = spent.get(phase, 0.0) + seconds
    counted = {phase: seconds / total for phase, seconds in spent.items()} if total else dict.fromkeys(spent, 0.0)
    return {**counted, "wait": 1 - sum(counted.values())}


def trials(events: list[dict[str, Any]], metric: str, mode: str, *, over: bool = True) -> dict[str, dict[str, Any]]:
    """Of each trial its status, epochs, best value and the epoch of that; `over`: no driver is at work."""
    known: dict[str, dict[str, Any]] = {}
    for event in events:
        name = event.get("trial")
        if event["event"] == "propose":
            known[name] = {"status": "interrupted" if over else "open", "values": [], "config": event["config"]}
        if event["event"] == "epoch":
            known[name]["values"].append(event["metrics"][metric])
        if event["event"] == "end":
            known[name]["status"] = event["status"]
    for trial in known.values():
        values = trial["values"]
        trial["best"] = (max if mode == "max" else min)(values) if values else None
        trial["best_epoch"] = values.index(trial["best"]) + 1 if values else 0
    return known


def stopped_by_asha(events: list[dict[str, Any]], metric: str, mode: str) -> set[str]:
    """The trials that were at a rung below the best third of those that had reached it before (reduction factor 3)."""
    rungs = [1, 3]  # at 9, the most epochs that there are, trials end anyway
    reached: dict[int, dict[str, float]] = {rung: {} for rung in rungs}
    count: dict[str, int] = {}
    below, stopped = set(), set()
    for event in events:
        if event["event"] == "end" and event["status"] == "stopped" and event["trial"] in below:
            stopped.add(event["trial"])
        if event["event"] != "epoch":
            continue
        name, value = event["trial"], event["metrics"][metric] * (1 if mode == "max" else -1)
        count[name] = count.get(name, 0) + 1
        for rung in reversed(rungs):
            if count[name] < rung or name in reached[rung]:
                continue
            others = list(reached[rung].values())
            if others and value < np.percentile(others, 100 * (1 - 1 / 3)):
                below.add(name)
            reached[rung][name] = value
            break
    return stopped


def limits_reached(events: list[dict[str, Any]], limits: Any, metric: str, mode: str) -> list[str]:
    """The names of the limits that the run has reached, over all of its sessions."""
    ends = [event for event in events if event["event"] == "end"]
    known = trials(events, metric, mode)
    better = max if mode == "max" else min
    results = {name: t["best"] for name, t in known.items() if t["best"] is not None and t["status"] != "failed"}
    names = []
    if limits.epochs and sum(event["event"] == "epoch" for event in events) >= limits.epochs:
        names.append("epochs")
    if limits.minutes and sum(map(searched, sessions(events))) >= 60 * limits.minutes - 1e-6:
        names.append("minutes")
    if limits.target is not None and any(better(value, limits.target) == value for value in results.values()):
        names.append("target")
    over = [event["trial"] for event in ends]
    done = [name for name in over if name in results]
    if limits.patience and done:
        best = better(results[name] for name in done)
        first = next(index for index, name in enumerate(over) if results.get(name) == best)
        if len(over) - 1 - first >= limits.patience:
            names.append("patience")
    return names


def mean_curves(events: list[dict[str, Any]], metric: str, mode: str) -> dict[int, dict[str, Any]]:
    """By the value of x, the only parameter: the mean losses and seconds of its repeats, and whether it failed.

    Completed repeats count, or else stopped ones; one that is shorter stays at its last loss, at its mean seconds.
    """
    seconds: dict[str, list[float]] = {}
    for event in events:
        if event["event"] == "epoch":
            seconds.setdefault(event["trial"], []).append(event["seconds"])
    by_x: dict[int, list[tuple[str, list[float], list[float]]]] = {}
    for name, trial in trials(events, metric, mode).items():
        losses = [value if mode == "min" else -value for value in trial["values"]]
        if losses or trial["status"] in ("completed", "failed"):
            by_x.setdefault(trial["config"]["x"], []).append((trial["status"], losses, seconds.get(name, [])))
    found = {}
    for x, repeats in by_x.items():
        done = [one for one in repeats if one[0] == "completed" and one[1]]
        others = [one for one in repeats if one[0] not in ("completed", "failed") and one[1]]
        counted = done or others or repeats[:1]
        longest = max(len(losses) for _, losses, _ in counted)
        mean = [float(np.mean([(one[1] + [one[1][-1]] * 99)[e] for one in counted])) for e in range(longest)]
        pace = [float(np.mean([(one[2] + [np.mean(one[2])] * 99)[e] for one in counted])) for e in range(longest)]
        found[x] = {"losses": mean, "seconds": pace, "failed": not (done or others), "whole": bool(done)}
    return found


def grid_regret(curves: dict[int, dict[str, Any]], xs: list[int]) -> list[tuple[float, float]]:
    """Second and regret of each improvement of one worker that trains each x in turn, as the nearest x did."""
    usable = [curve for curve in curves.values() if not curve["failed"]]
    best = min(min(curve["losses"]) for curve in usable)
    most = max(len(curve["losses"]) for curve in curves.values())
    now, lowest, found = 0.0, float("inf"), []
    for x in xs:
        curve = curves[min(curves, key=lambda known, x=x: abs(known - x))]
        losses, seconds = curve["losses"], curve["seconds"]
        wanted = len(losses) if curve["whole"] else most
        for epoch in range(wanted):
            now += seconds[epoch] if epoch < len(seconds) else float(np.mean(seconds)) if seconds else 0.0
            if curve["failed"]:
                if epoch >= len(losses):
                    break
                continue
            loss = losses[min(epoch, len(losses) - 1)]
            if loss < lowest:
                lowest = loss
                found.append((now, lowest - best))
    return [*found, (now, lowest - best)]
