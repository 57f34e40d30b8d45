"""schemathesis generates requests from the gateway's OpenAPI document: no 5xx, no unlisted status."""

import pathlib
import re
import subprocess
import sys
import tempfile

from checks import address, check, run

PROGRAM = pathlib.Path(sys.executable).with_name("schemathesis")


def generate(*more):
    command = [
        PROGRAM, "run", address("GATEWAY_URL") + "/openapi.json",
        "--checks", "not_a_server_error,status_code_conformance",
        "--seed", "1", "--no-color", "--generation-database", "none", *more,
    ]
    # It writes files into the current folder.
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    output = done.stdout + done.stderr
    tested = re.search(r"(\d+) generated", output)
    assert done.returncode == 0, output[-3000:]
    assert tested and int(tested[1]) > 300, output[-1000:]


@check("with the master key")
def operator():
    key = address("GATEWAY_KEY")
    generate("--header", f"Authorization: Bearer {key}", "--max-examples", "15")


@check("with an unknown key")
def stranger():
    generate("--header", "Authorization: Bearer sk-unknown-key-0123456789", "--max-examples", "5")


run()
