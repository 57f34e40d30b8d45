"""Prompt templates, without a model.

>>> from polyllm import templates
>>> llama = templates.Template.of_model("togethercomputer/llama-2-70b-chat")
>>> llama.render([{"role": "user", "content": "Hi"}])
'[INST] Hi [/INST]'
"""

from __future__ import annotations

from ._native import Template, families

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

__all__ = ["Template", "families", "render"]


def render(model: str, messages: Iterable[Any], **options: Any) -> str:
    """Renders the prompt in the format of a model; see :meth:`Template.render` for the options."""
    template = Template.of_model(model)
    if template is None:
        raise ValueError(f"the format of the model {model[:200]!r} is not known")
    return template.render(messages, **options)
