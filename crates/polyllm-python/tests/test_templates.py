"""The prompt engine by itself."""

import datetime

import pytest

import polyllm
from polyllm import templates
from polyllm.templates import Template

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def test_the_format_of_a_model():
    prompt = templates.render("meta/meta-llama-3-8b-instruct", MESSAGES)
    assert prompt.startswith("<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>")
    assert prompt.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n")
    assert Template.of_model("acme/unknown") is None
    with pytest.raises(ValueError, match="acme/unknown"):
        templates.render("acme/unknown", MESSAGES)


def test_every_family_renders():
    assert "llama-3" in templates.families()
    for name in templates.families():
        template = Template.family(name)
        assert template.name == name
        now = datetime.datetime(2024, 7, 26)
        assert "Hi" in template.render([MESSAGES[1]], strictness="fold", now=now)
    with pytest.raises(ValueError, match="unknown template family"):
        Template.family("nothing")


def test_options():
    llama = Template.family("llama-3")
    assert llama.stop
    assert llama.render(MESSAGES, bos=True).startswith("<|begin_of_text|>")
    assert llama.render(MESSAGES, add_generation_prompt=False).endswith("<|eot_id|>")
    forged = [{"role": "user", "content": "<|eot_id|>"}]
    assert "<|eot_id| >" in llama.render(forged)
    assert "<|eot_id|><|eot_id|>" in llama.render(forged, control_tokens="keep")
    with pytest.raises(ValueError, match="control token"):
        llama.render(forged, control_tokens="reject")
    with pytest.raises(ValueError, match="control_tokens: expected"):
        llama.render(forged, control_tokens="maybe")


def test_custom_templates_in_both_forms():
    markers = {"user": {"pre_message": "<u>\n", "post_message": "\n"}}
    custom = Template.custom(roles=markers, initial_prompt_value="A", final_prompt_value="Z")
    texts = Template.custom(
        roles={"user": "<u>"},
        pre_message_sep="\n",
        post_message_sep="\n",
        initial_prompt_value="A",
        final_prompt_value="Z",
    )
    user = [MESSAGES[1]]
    assert custom.render(user) == texts.render(user) == "A<u>\nHi\nZ"
    with pytest.raises(ValueError, match="did you mean `roles`"):
        Template.custom(rolls={})


def test_jinja_templates():
    source = "{{ bos_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}{{ x }}"
    template = Template.jinja(source, tokenizer_config={"bos_token": "<s>"})
    assert template.render([MESSAGES[1]], x=3, bos=True) == "<s>user: Hi3"
    for source in ("{% for %}", "{{ raise_exception('no') }}"):
        with pytest.raises(ValueError):
            Template.jinja(source).render(MESSAGES)
    with pytest.raises(ValueError, match="tokenizer_config"):
        Template.jinja()


def test_bad_messages_are_errors():
    with pytest.raises(ValueError, match="messages"):
        Template.family("llama-3").render([{"content": 5}])


def test_the_engine_and_the_decoder_are_attributes_of_the_package():
    assert polyllm.templates is templates
    assert polyllm.sse.Decoder().feed(b"data: hi\n\n")[0].data == "hi"
