"""The simulated upstreams, which `polyllm sim` runs in a process of its own."""

import json
import os
import subprocess
import time
import urllib.request

import pytest

import polyllm

VARIABLES = ("OPENAI_", "REPLICATE_", "TOGETHER", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


class Sim:
    """The addresses of the upstreams, and what they received."""

    def __init__(self, ready):
        self.together = ready["together"]
        self.replicate = ready["replicate"]

    def get(self, upstream, path):
        with urllib.request.urlopen(upstream + path) as response:
            return json.load(response)

    def requests(self, upstream=None):
        """The requests, in the order in which they arrived."""
        listed = self.get(upstream or self.together, "/_sim/requests")
        return listed["requests"] if isinstance(listed, dict) else listed

    def predictions(self):
        """The number of predictions by status."""
        return self.get(self.replicate, "/_sim/predictions")

    def counts(self, upstream=None):
        """The number of requests by outcome."""
        return self.get(upstream or self.together, "/_sim/counts")


def start(*options):
    command = [os.environ["POLYLLM"], "sim", "--json", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def stop(process):
    process.terminate()
    process.wait()
    process.stdout.close()


@pytest.fixture(scope="session")
def _sim():
    process = start("--instant")
    yield Sim(json.loads(process.stdout.readline()))
    stop(process)


@pytest.fixture
def slow_sim(environment):
    """A simulation whose replies take minutes."""
    process = start("--first-token", "120s")
    sim = Sim(json.loads(process.stdout.readline()))
    environment.setenv("TOGETHER_AI_API_BASE", sim.together)
    environment.setenv("REPLICATE_API_BASE", sim.replicate)
    yield sim
    stop(process)


@pytest.fixture
def environment(monkeypatch):
    """An environment without keys and addresses; the module's settings are reset after the test."""
    for name in list(os.environ):
        if name.upper().startswith(VARIABLES):
            monkeypatch.delenv(name)
    for name in (
        "api_base",
        "api_key",
        "drop_params",
        "num_retries",
        "replicate_key",
        "request_timeout",
        "set_verbose",
        "togetherai_api_key",
    ):
        monkeypatch.setattr(polyllm, name, getattr(polyllm, name))
    return monkeypatch


@pytest.fixture
def sim(_sim, environment):
    """The simulation, with its addresses and keys in the environment."""
    environment.setenv("TOGETHER_AI_API_BASE", _sim.together)
    environment.setenv("TOGETHERAI_API_KEY", "together-key")
    environment.setenv("REPLICATE_API_BASE", _sim.replicate)
    environment.setenv("REPLICATE_API_KEY", "replicate-key")
    urllib.request.urlopen(urllib.request.Request(_sim.together + "/_sim/requests", method="DELETE"))
    urllib.request.urlopen(urllib.request.Request(_sim.replicate + "/_sim/requests", method="DELETE"))
    return _sim


@pytest.fixture
def wait_until():
    """Waits for a condition, with a limit that only a failing test reaches."""

    def wait(condition):
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "the condition did not become true"
            time.sleep(0.01)

    return wait
