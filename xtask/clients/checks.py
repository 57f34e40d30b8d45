"""Runs the checks of a script: `@check("what")` on each, `run()` at the end."""

import os
import pathlib
import sys
import traceback
from contextlib import contextmanager
from types import SimpleNamespace

SCRIPT = pathlib.Path(sys.argv[0]).name
checks = []


def check(what):
    def add(function):
        checks.append((what, function))
        return function

    return add


def run():
    failed = 0
    for what, function in checks:
        try:
            function()
            print(f"ok    {SCRIPT}: {what}", flush=True)
        except Exception as error:
            failed += 1
            # The line of the script itself, not of the client's insides.
            frames = traceback.extract_tb(error.__traceback__)
            lines = [frame.lineno for frame in frames if frame.filename.endswith("_client.py")]
            text = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
            print(f"FAIL  {SCRIPT}: {what}: line {lines[-1]}: {text}", flush=True)
    sys.exit(failed > 0)


def same(got, wanted):
    assert got == wanted, f"got {got!r}, wanted {wanted!r}"


@contextmanager
def raises(kind):
    """The error that is raised inside, once outside, as `.value`."""
    caught = SimpleNamespace(value=None)
    try:
        yield caught
    except kind as error:
        caught.value = error
        return
    raise AssertionError(f"no {kind.__name__} was raised")


def address(name):
    """Where a server under test is: GATEWAY_URL, DEMO_URL, TOGETHER_URL, REPLICATE_URL, INSTANT_URL,
    LIMITED_URL."""
    return os.environ[name]
