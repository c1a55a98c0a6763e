"""How the suite draws made-up examples: the same in every run, and without a clock.

An example that takes long on a busy machine is no failure, and what a run finds does not
depend on luck. The searches at random are commands: `make fuzz`, `make model`, `make faults`;
and `pytest --hypothesis-profile=default` draws anew.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("suite")
