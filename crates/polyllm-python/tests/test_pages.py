"""LiteLLM's documentation runs with `litellm` replaced by `polyllm`.

`pages` has the Python of three pages. If the variable POLYLLM_PAGES names a folder with the pages
themselves, their blocks are extracted and run, too.
"""

import ast
import os
import re
from pathlib import Path

import pytest

PAGES = Path(__file__).parent / "pages"

# What is missing on the pages: commas in the call of register_prompt_template.
MENDED = [
    ('"You are a good assistant" #', '"You are a good assistant", #'),
    ('"pre_message": "\\n" # [OPTIONAL]\n', '"pre_message": "\\n", # [OPTIONAL]\n'),
    ("        }\n        final_prompt_value", "        },\n        final_prompt_value"),
]


def translated():
    """The blocks of the pages in this repository, by page."""
    for page in sorted(PAGES.glob("*.py")):
        _, *blocks = re.split(r"^# --- ", page.read_text(), flags=re.MULTILINE)
        yield page.stem, [block.split("\n", 1)[1] for block in blocks]


def extracted():
    """The Python blocks of the original pages that use LiteLLM's SDK."""
    folder = os.environ.get("POLYLLM_PAGES")
    for page in sorted(Path(folder).glob("*.txt")) if folder else ():
        blocks = re.findall(r"^```python *\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        # A notebook's command to install a package is no Python.
        blocks = [block for block in blocks if not block.startswith("!")]
        if any("litellm" in block for block in blocks):
            yield page.stem, blocks


SOURCES = [*translated(), *extracted()]


@pytest.mark.parametrize("blocks", [blocks for _, blocks in SOURCES], ids=[id for id, _ in SOURCES])
def test_every_block_of_a_page_runs(blocks, sim, environment):
    # The pages leave the key empty. The next variables of the same providers have one.
    environment.setenv("TOGETHER_API_KEY", "a key")
    environment.setenv("REPLICATE_API_TOKEN", "a key")
    page = {"messages": [{"role": "user", "content": "Hello"}]}
    for block in blocks:
        for missing, mended in MENDED:
            block = block.replace(missing, mended)
        source = re.sub(r"\blitellm\b", "polyllm", block)
        exec(compile(source, "page", "exec"), page)
    calls = sum(count_calls(block) for block in blocks)
    sent = [r for r in sim.requests(sim.together) if r["path"].startswith("/v1/")]
    created = [r for r in sim.requests(sim.replicate) if r["path"].endswith("/predictions")]
    assert calls > 0 and len(sent) + len(created) == calls


def count_calls(block):
    """The calls of `completion` and `rerank` in a block."""
    for missing, mended in MENDED:
        block = block.replace(missing, mended)
    calls = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Call)]
    names = [node.func.id for node in calls if isinstance(node.func, ast.Name)]
    return sum(name in ("completion", "rerank") for name in names)
