"""Import time, memory and CPU per call of polyllm and LiteLLM, with one simulation.

    POLYLLM=target/release/polyllm python benches/compare.py polyllm litellm

Each figure is the median of several processes, on Linux. The memory of an interpreter without an import
is subtracted. CPU is that of the process, all threads included, for the import and per chat in one piece.
"""

import json
import os
import statistics
import subprocess
import sys

# `ru_maxrss` would include the memory of the process that started this one, before `exec`.
IMPORT = """
import time
cpu, begin = time.process_time(), time.perf_counter()
{statement}
cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
with open("/proc/self/status") as status:
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(cpu, wall, memory / 1024)
"""

CALLS = """
import time
import {module} as module
messages = [{{"role": "user", "content": "What colour is the sky?"}}]
call = lambda: module.completion(model="together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo",
                                 messages=messages, max_tokens=20)
for _ in range(5):
    call()
cpu, wall = time.process_time(), time.perf_counter()
for _ in range({calls}):
    call()
print((time.process_time() - cpu) / {calls}, (time.perf_counter() - wall) / {calls})
"""


def run(source, environment=None, runs=7):
    """The medians of the numbers that a script prints."""
    rows = []
    for _ in range(runs):
        environ = {**os.environ, **(environment or {})}
        output = subprocess.check_output([sys.executable, "-c", source], env=environ, text=True)
        rows.append([float(number) for number in output.splitlines()[-1].split()])
    return [statistics.median(column) for column in zip(*rows)]


def main(modules):
    sim = subprocess.Popen(
        [os.environ["POLYLLM"], "sim", "--json", "--instant"], stdout=subprocess.PIPE
    )
    try:
        ready = json.loads(sim.stdout.readline())
        environment = {
            "TOGETHER_AI_API_BASE": ready["together"] + "/v1",
            "TOGETHERAI_API_KEY": "a key",
            # Without it, LiteLLM downloads a list of prices when it is imported.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        bare_memory = run(IMPORT.format(statement="pass"))[-1]
        columns = ("import CPU", "import time", "memory", "call CPU", "call time")
        print(f"{'':10}" + "".join(f"{column:>14}" for column in columns))
        for module in modules:
            statement = f"import {module}"
            import_cpu, import_time, memory = run(IMPORT.format(statement=statement), environment)
            calls = 200 if module == "polyllm" else 50
            cpu, wall = run(CALLS.format(module=module, calls=calls), environment, runs=3)
            times = [f"{seconds * 1e3:11.2f} ms" for seconds in (import_cpu, import_time, cpu, wall)]
            times.insert(2, f"{memory - bare_memory:11.1f} MB")
            print(f"{module:10}" + "".join(times))
    finally:
        sim.terminate()
        sim.wait()


if __name__ == "__main__":
    main(sys.argv[1:] or ["polyllm", "litellm"])
