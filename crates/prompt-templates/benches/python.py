"""The same conversations through transformers' own environment: microseconds per render.

    python crates/prompt-templates/benches/python.py

with the packages of xtask/fixtures/requirements.txt. The template is compiled once, as transformers
caches it; the best of several runs is printed.
"""

import itertools
import os
import timeit
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import transformers.utils.chat_template_utils as chat_template_utils

REFERENCE = Path(__file__).resolve().parents[3] / "fixtures" / "prompt-templates" / "reference"
# As in render.rs.
WORDS = (
    "The quick brown fox, as they say, jumps over the lazy dog and runs on. Had it "
    "known what was to come, it would have stayed at home (or so they tell it), where "
    "its children waited with the supper: a bowl of soup, some bread & butter. "
    "\n\n- first, the soup\n- then, the bread\n\nBut who knows? "
)


def messages(count, length):
    roles = ["user" if (count - 1 - index) % 2 == 0 else "assistant" for index in range(count)]
    if count % 2 == 0:
        roles[0] = "system"
    texts = (
        "".join(itertools.islice(itertools.cycle(WORDS), index, index + length - 1)) + "."
        for index in range(count)
    )
    return [{"role": role, "content": text} for role, text in zip(roles, texts)]


for name in ["chatml", "llama-3", "llama-2"]:
    source = (REFERENCE / f"{name}.jinja").read_text(encoding="utf-8")
    template = chat_template_utils._compile_jinja_template(source)
    for count, length in [(3, 60), (20, 400)]:
        context = {
            "messages": messages(count, length),
            "tools": None,
            "documents": None,
            "add_generation_prompt": True,
            "bos_token": "<s>",
            "eos_token": "</s>",
        }
        timer = timeit.Timer(lambda: template.render(**context))
        best = min(timer.repeat(repeat=7, number=300)) / 300
        print(f"{name}/{count}x{length}: {best * 1e6:.1f} us")
