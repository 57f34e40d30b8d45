// The view "Playground": a chat with a model, streamed or in one piece.

/** A key for the playground; the session if it is empty. It is never stored. */
let playgroundKey = '';

function playground(main) {
  let messages = [];
  let running = null;
  const control = (label, element, hint) => field(label, ({ id }) => fill(element, { id }, []), hint);
  const model = h('select', {});
  const key = h('input', { type: 'password', autocomplete: 'off', value: playgroundKey, placeholder: 'this session', onchange: () => {
    playgroundKey = key.value.trim();
  } });
  const limit = h('input', { type: 'number', min: 1, step: 1, value: '512', inputmode: 'numeric' });
  const temperature = h('input', { type: 'number', min: 0, max: 2, step: 0.1, inputmode: 'decimal', placeholder: "the model's" });
  const system = h('input', { autocomplete: 'off' });
  const streamed = h('input', { type: 'checkbox', checked: true });
  const prompt = h('textarea', { rows: 3, onkeydown: (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  } });
  const log = h('div', { class: 'log', tabindex: '0', role: 'log', 'aria-label': 'Conversation' }, h('p', { class: 'dim' }, 'No messages yet.'));
  const facts = h('p', { class: 'dim', 'aria-live': 'polite' });
  const submit = h('button', {}, 'Send');
  const stop = h('button', { type: 'button', class: 'danger', disabled: true, onclick: () => running?.abort() }, 'Stop');
  const clear = h('button', { type: 'button', class: 'quiet', onclick: () => {
    messages = [];
    log.replaceChildren();
    facts.textContent = '';
  } }, 'Clear');
  const form = h('form', { onsubmit: (event) => {
    event.preventDefault();
    talk();
  } },
  h('div', { class: 'fields' }, control('Model', model), control('Key', key, '(empty: this session)'),
    control('Most tokens', limit), control('Temperature', temperature),
    h('div', { class: 'wide' }, control('System message', system))),
  log, facts,
  h('div', { class: 'fields' }, h('div', { class: 'wide' }, control('Message', prompt, '(Ctrl+Enter sends)'))),
  h('div', { class: 'row' }, submit, stop, clear, h('label', { class: 'check' }, streamed, 'Stream')));
  main.replaceChildren(h('h1', {}, 'Playground'), h('section', { class: 'card' }, form));

  async function refresh() {
    const found = await api('/model/info');
    const chats = found.data.filter((one) => one.model_info.endpoints.some((name) => name === 'chat'));
    const names = [...new Set((chats.length ? chats : found.data).map((one) => one.model_name))];
    model.replaceChildren(...names.map((name) => h('option', {}, name)));
  }

  function turn(role, text) {
    if (!messages.length) log.replaceChildren();
    const content = h('pre', {}, text);
    log.append(h('div', { class: 'turn' }, h('div', { class: 'role' }, role), content));
    log.scrollTop = log.scrollHeight;
    return content;
  }

  async function talk() {
    const text = prompt.value.trim();
    if (!text || running) return;
    turn('user', text);
    messages.push({ role: 'user', content: text });
    const body = { model: model.value, stream: streamed.checked, messages: system.value ? [{ role: 'system', content: system.value }, ...messages] : messages };
    if (limit.value) body.max_tokens = Number(limit.value);
    if (temperature.value) body.temperature = Number(temperature.value);
    if (body.stream) body.stream_options = { include_usage: true };
    prompt.value = '';
    submit.disabled = true;
    stop.disabled = false;
    running = new AbortController();
    const reply = turn('assistant', '');
    const started = performance.now();
    let first = null;
    let usage = null;
    let served = '';
    try {
      const response = await send('/v1/chat/completions', { body, key: playgroundKey, signal: running.signal });
      served = response.headers.get('x-polyllm-deployment') ?? '';
      if (body.stream) {
        for await (const data of events(response)) {
          if (data === '[DONE]') break;
          const chunk = JSON.parse(data);
          if (chunk.error) throw new Error(chunk.error.message);
          const delta = chunk.choices?.[0]?.delta ?? {};
          const piece = delta.content ?? '';
          if (piece || delta.reasoning_content || delta.reasoning) first ??= performance.now();
          reply.append(piece);
          usage = chunk.usage ?? usage;
          log.scrollTop = log.scrollHeight;
        }
      } else {
        const answer = await response.json();
        reply.textContent = answer.choices?.[0]?.message?.content ?? '';
        usage = answer.usage;
      }
      messages.push({ role: 'assistant', content: reply.textContent });
    } catch (error) {
      const reason = error.name === 'AbortError' ? 'stopped' : error.message;
      reply.append(h('span', { class: 'bad' }, `${reply.textContent ? ' ' : ''}[${reason}]`));
      messages.pop();
    }
    const seconds = (performance.now() - started) / 1000;
    facts.textContent = [
      served, `${seconds.toFixed(2)} s`, first && `first output after ${format.ms(first - started)}`,
      usage && `${format.count(usage.prompt_tokens)} tokens in, ${format.count(usage.completion_tokens)} out`,
    ].filter(Boolean).join(' · ');
    running = null;
    submit.disabled = false;
    stop.disabled = true;
    prompt.focus();
  }
  return { refresh, leave: () => running?.abort() };
}
