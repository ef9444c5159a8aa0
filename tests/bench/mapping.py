"""`python -m tests.bench.mapping` prints the CPU that mapping one reply costs."""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quota_exporter.mapping import Reply, check_reply, map_replies
from quota_exporter.presets import load_preset
from quota_exporter.quota import Quota

_FIXTURES = Path(__file__).parents[1] / "fixtures"
_SECRETS = ("sk-canary-4f9a1c7be2d84c55a0e3",)
_NOW = 1779000000.0
_ROUNDS = 60
_CALLS = 50  # in each round: the clock of CPU time is coarse
_PRESETS = {"neutral": 100.0, "litellm": 300.0, "openrouter": None}
"""The presets measured, with the microseconds that mapping should stay below."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Median CPU microseconds to parse the JSON of a preset's replies, and to check and map them."""

    preset: str
    parse: float
    mapping: float
    buckets: int


def main() -> None:
    """Measure and print."""
    sys.stdout.write(f"machine: {_cpu()}, Python {platform.python_version()}\n\n")
    sys.stdout.write(f"{'preset':<14}{'buckets':>8}{'JSON us':>10}{'mapping us':>12}{'goal us':>9}\n")
    for preset, goal in _PRESETS.items():
        cost = measure(preset)
        shown = "-" if goal is None else f"{goal:.0f}"
        sys.stdout.write(f"{preset:<14}{cost.buckets:>8}{cost.parse:>10.1f}{cost.mapping:>12.1f}{shown:>9}\n")
    sys.stdout.write(f"\nmedian of {_ROUNDS} rounds of {_CALLS} calls, CPU time of the process\n")


def measure(preset: str) -> Cost:
    """Return what one poll's replies cost, with the preset's full fixture."""
    mapping = load_preset(preset)
    content = json.loads((_FIXTURES / preset / "full.json").read_text(encoding="utf-8"))
    bodies = {mapping.steps[0].id: content} if len(mapping.steps) == 1 else content
    texts = [json.dumps(body) for body in bodies.values()]
    replies = {name: Reply(body, 200, {}) for name, body in bodies.items()}
    requests = [request for request in mapping.steps if request.id in replies]

    def mapped() -> Quota:
        for request in requests:
            assert check_reply(mapping, request, replies[request.id], secrets=_SECRETS) is None
        outcome = map_replies(mapping, replies, secrets=_SECRETS, now=_NOW, max_buckets=20)
        assert isinstance(outcome, Quota)
        return outcome

    parse = _microseconds(lambda: [json.loads(text) for text in texts])
    return Cost(preset, parse, _microseconds(mapped), len(mapped().buckets))


def _microseconds(call: Callable[[], Any]) -> float:
    rounds = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        for _ in range(_CALLS):
            call()
        rounds.append((time.process_time() - start) / _CALLS * 1e6)
    return statistics.median(rounds)


def _cpu() -> str:
    """The model of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


if __name__ == "__main__":
    main()
