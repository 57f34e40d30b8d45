"""Signals, forks, threads and the end of the interpreter."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

import polyllm as litellm

LLAMA = "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo"
REPLICATE = "replicate/meta/meta-llama-3-8b-instruct"
MESSAGES = [{"role": "user", "content": "What colour is the sky?"}]


def python(source):
    arguments = [sys.executable, "-c", source]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, preexec_fn=reset_interrupt)


def reset_interrupt():
    # A program that a shell started in the background ignores SIGINT, and its children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("stream", [False, True])
def test_ctrl_c_cancels_the_call_and_the_prediction(slow_sim, wait_until, stream):
    call = f"polyllm.completion({REPLICATE!r}, {MESSAGES!r}, stream={stream}, api_key='key', prefer_wait=0)"
    process = python(f"import polyllm\nfor _ in {call}: pass")
    wait_until(lambda: slow_sim.predictions()["running"] == 1)
    if stream:
        wait_until(lambda: slow_sim.counts(slow_sim.replicate)["started"] >= 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    # The interpreter waited for the cancellation before it ended.
    assert slow_sim.predictions()["canceled"] == 1


def test_an_exiting_interpreter_cancels_running_tasks(slow_sim, wait_until):
    process = python(
        "import asyncio, polyllm, urllib.request, json\n"
        "loop = asyncio.new_event_loop()\n"
        f"call = polyllm.acompletion({REPLICATE!r}, {MESSAGES!r}, api_key='key', prefer_wait=0)\n"
        "async def start():\n"
        "    task = asyncio.ensure_future(call)\n"
        f"    while json.load(urllib.request.urlopen('{slow_sim.replicate}/_sim/predictions'))"
        "['running'] == 0:\n"
        "        await asyncio.sleep(0.01)\n"
        "loop.run_until_complete(start())\n"
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert slow_sim.predictions()["canceled"] == 1


def test_an_exiting_interpreter_cancels_streams_that_exist(slow_sim):
    call = f"polyllm.completion({REPLICATE!r}, {MESSAGES!r}, stream=True, api_key='key')"
    process = python(f"import polyllm\nstream = {call}\nimport sys\nsys.keep = stream")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert slow_sim.predictions()["canceled"] == 1


def test_other_threads_run_while_a_call_waits(slow_sim, wait_until):
    def call():
        with pytest.raises(litellm.Timeout):
            litellm.completion(LLAMA, MESSAGES, api_key="key", timeout=1)

    waiting = threading.Thread(target=call)
    waiting.start()
    turns = 0
    while waiting.is_alive():
        turns += 1
        time.sleep(0)
    waiting.join()
    # With the GIL held, this thread would have had only a few turns.
    assert turns > 100


def test_calls_in_many_threads(sim):
    replies = []

    def call(number):
        messages = [{"role": "user", "content": f"Number {number}"}]
        replies.append((number, litellm.completion(LLAMA, messages)))

    threads = [threading.Thread(target=call, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 50
    for number, reply in replies:
        assert f"Number {number}" in reply.choices[0].message.content


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_has_its_own_connections(sim):
    litellm.register_prompt_template("acme/forked", {"user": {"pre_message": "<f>"}})
    router = litellm.Router([{"model_name": "chat", "litellm_params": {"model": LLAMA}}])
    stream = litellm.completion(LLAMA, MESSAGES, stream=True)
    litellm.completion(LLAMA, MESSAGES)
    router.completion("chat", MESSAGES)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        # The test framework must not go on in the child, whatever happens.
        try:
            results = [
                litellm.completion(LLAMA, MESSAGES).choices[0].finish_reason,
                router.completion("chat", MESSAGES).choices[0].finish_reason,
                litellm.completion("together_ai/acme/forked", MESSAGES).choices[0].finish_reason,
            ]
            try:
                next(stream)
            except RuntimeError as error:
                results.append(str(error))
            del stream
            os.write(writing, json.dumps(results).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as results:
        *finished, error = json.load(results)
    os.waitpid(child, 0)
    assert finished == ["stop"] * 3 and "parent process" in error
    assert sim.requests()[-1]["body"]["prompt"].startswith("<f>")
    assert list(stream) and litellm.completion(LLAMA, MESSAGES).choices


def test_import_loads_no_large_modules():
    source = "import sys, polyllm; print(' '.join(sys.modules))"
    loaded = subprocess.check_output([sys.executable, "-S", "-c", source], env=paths(), text=True)
    large = {"asyncio", "httpx", "json", "logging", "pydantic", "ssl", "typing", "urllib"}
    assert large.isdisjoint(loaded.split())


def paths():
    folder = os.path.dirname(os.path.dirname(litellm.__file__))
    return {**os.environ, "PYTHONPATH": folder}
