"""Runs a sweep on two nodes and takes one away in a trial. A process of its own: a test session has one Ray."""

import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

import orchestrator  # first, since it tells Ray how to behave
from orchestrator.journal import Journal
from orchestrator.sweep import load_sweep


def main(path: str) -> None:
    sweep = load_sweep(path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    other = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)

    def take_away() -> None:
        while not other_has_trained(sweep.folder):
            time.sleep(0.01)
        cluster.remove_node(other, allow_graceful=False)

    threading.Thread(target=take_away, daemon=True).start()
    orchestrator.run(sweep, quiet=True)
    ray.shutdown()
    cluster.shutdown()


def other_has_trained(folder: Path) -> bool:
    """Both trials that run side by side have reported: one of them is on the node that goes."""
    events = list(Journal(folder / "journal").read())
    return len({event["trial"] for event in events if event["event"] == "epoch"}) > 1


main(sys.argv[1])
