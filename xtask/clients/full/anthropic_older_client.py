"""The checks of anthropic_client.py with an older `anthropic`, of the API version 2023-06-01."""

import pathlib
import runpy

CHECKS = pathlib.Path(__file__).resolve().parent.parent / "anthropic_client.py"
runpy.run_path(str(CHECKS), run_name="__main__")
