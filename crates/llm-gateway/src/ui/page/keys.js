// The view "Keys": create, limit, rotate, block and revoke virtual keys.

function keys(main) {
  let after = null;
  let all = [];
  let models = [];
  const list = h('div', {});
  const more = h('button', { type: 'button', class: 'quiet', hidden: true, onclick: () => load() }, 'Show more');
  const create = h('button', { type: 'button', onclick: () => edit(null) }, 'Create key');
  main.replaceChildren(h('div', { class: 'row between' }, h('h1', {}, 'Keys'), create), h('section', { class: 'card' }, list, more));

  async function refresh() {
    after = null;
    all = [];
    const found = await api('/v1/models');
    models = found.data.map((one) => one.id);
    await load();
  }

  async function load() {
    const page = after ? `&after=${encodeURIComponent(after)}` : '';
    let found;
    try {
      found = await api(`/key/list?return_full_object=true&size=100${page}`);
    } catch (error) {
      create.hidden = true;
      list.replaceChildren(h('p', {}, missing(error)));
      return;
    }
    all.push(...found.keys);
    after = found.next;
    more.hidden = !after;
    list.replaceChildren(table('Virtual keys', [
      { name: 'Name', wrap: true, of: (key) => [key.key_alias ?? 'no name', ' ', h('span', { class: 'mono dim' }, key.key_name)] },
      { name: 'State', of: keyState },
      { name: 'Models', wrap: true, of: (key) => key.models.length ? key.models.join(', ') : 'all' },
      { name: 'Spend', num: true, of: spent },
      { name: 'Limits', wrap: true, of: limits },
      { name: 'Expires', of: (key) => key.expires ? format.dateTime(key.expires) : 'never' },
      { name: '', of: actions },
    ], all, 'No keys yet.'));
  }

  function actions(key) {
    const name = key.key_alias ?? key.key_name;
    const button = (text, kind, onclick) => h('button', { type: 'button', class: `small ${kind}`, 'aria-label': `${text} ${name}`, onclick }, text);
    return h('div', { class: 'row' },
      button('Edit', 'quiet', () => edit(key)),
      button('Rotate', 'quiet', () => rotate(key, name)),
      button(key.blocked ? 'Unblock' : 'Block', 'quiet', () => change(key.blocked ? '/key/unblock' : '/key/block', { key: key.token }, key.blocked ? 'The key works again.' : 'The key is blocked.')),
      button('Revoke', 'danger', () => revoke(key, name)));
  }

  async function change(path, body, message) {
    try {
      const answer = await api(path, { body });
      if (message) notify(message);
      await refresh();
      return answer;
    } catch (error) {
      notify(error.message, true);
      return null;
    }
  }

  async function edit(key) {
    const form = keyForm(key, models);
    const body = await ask(key ? 'Edit key' : 'Create key', form.element, key ? 'Save' : 'Create', { read: form.read });
    if (!body) return;
    if (key) {
      await change('/key/update', { key: key.token, ...body }, 'The key was changed.');
      return;
    }
    const answer = await change('/key/generate', body);
    if (answer) await showSecret(answer.key);
  }

  async function rotate(key, name) {
    const text = h('p', {}, `The secret of ${name} stops working at once, and a new one replaces it. Limits and spend stay.`);
    if (!await ask('Rotate key', text, 'Rotate', { isDangerous: true })) return;
    const answer = await change('/key/regenerate', { key: key.token });
    if (answer) await showSecret(answer.key);
  }

  async function revoke(key, name) {
    const text = h('p', {}, `${name} stops working at once and is deleted. Its spend stays in reports.`);
    if (await ask('Revoke key', text, 'Revoke', { isDangerous: true })) await change('/key/delete', { keys: [key.token] }, 'The key was revoked.');
  }
  return { refresh };
}

function missing(error) {
  return `${error.message}. ${state.hasMasterKey ? '' : 'There is no master key. '}`
    + 'Keys and spend need general_settings.master_key in the config; they are kept in polyllm.db beside it, or in general_settings.database_url.';
}

function keyState(key) {
  if (key.blocked) return tag('blocked', 'bad');
  if (key.expires && new Date(key.expires) < new Date()) return tag('expired', 'warn');
  return tag('active', 'good');
}

function spent(key) {
  const spend = Number(key.spend ?? 0);
  if (key.max_budget === null || key.max_budget === undefined) return format.money(spend);
  const share = Number(key.max_budget) ? Math.min(1, spend / Number(key.max_budget)) : 1;
  const bar = h('div', {});
  bar.style.width = `${share * 100}%`;
  return [`${format.money(spend)} of ${format.money(key.max_budget)}`, key.budget_duration ? ` in ${key.budget_duration}` : '', h('div', { class: 'meter' }, bar)];
}

function limits(key) {
  const all = [
    key.rpm_limit !== null && key.rpm_limit !== undefined && `${format.count(key.rpm_limit)} requests/min`,
    key.tpm_limit !== null && key.tpm_limit !== undefined && `${format.count(key.tpm_limit)} tokens/min`,
    key.max_parallel_requests !== null && key.max_parallel_requests !== undefined && `${format.count(key.max_parallel_requests)} at once`,
  ].filter(Boolean);
  return all.length ? all.join(', ') : 'none';
}

/** The form of a key: its element, and a function that reads the request's body. */
function keyForm(key, models) {
  const input = (value, options) => h('input', { value: value ?? '', autocomplete: 'off', ...options });
  const number = { type: 'number', min: 0, step: 1, inputmode: 'numeric' };
  const name = input(key?.key_alias);
  const budget = input(key?.max_budget, { ...number, step: 'any', inputmode: 'decimal' });
  const period = input(key?.budget_duration, { placeholder: 'such as 30d' });
  const rpm = input(key?.rpm_limit, number);
  const tpm = input(key?.tpm_limit, number);
  const parallel = input(key?.max_parallel_requests, number);
  const duration = input('', { placeholder: key?.expires ? 'unchanged' : 'such as 90d' });
  const known = [...new Set([...models, ...(key?.models ?? [])])];
  const boxes = known.map((model) => h('input', { type: 'checkbox', value: model, checked: key?.models.includes(model) ?? false }));
  const labelled = (label, control, hint) => field(label, ({ id }) => fill(control, { id }, []), hint);
  const element = h('div', { class: 'fields' },
    labelled('Name', name),
    labelled('Valid for', duration, '(a time)'),
    labelled('Budget', budget, '(US dollars)'),
    labelled('Budget period', period),
    labelled('Requests per minute', rpm),
    labelled('Tokens per minute', tpm),
    labelled('Requests at once', parallel),
    h('fieldset', { class: 'wide' }, h('legend', {}, 'Models (all if none is chosen)'),
      boxes.map((box) => h('label', { class: 'check' }, box, box.value))));
  const text = (control) => control.value.trim() === '' ? null : control.value.trim();
  const amount = (control) => text(control) === null ? null : Number(text(control));
  const read = () => {
    const body = {
      key_alias: text(name), max_budget: amount(budget), budget_duration: text(period), rpm_limit: amount(rpm),
      tpm_limit: amount(tpm), max_parallel_requests: amount(parallel),
      models: boxes.filter((box) => box.checked).map((box) => box.value),
    };
    if (text(duration)) body.duration = text(duration);
    return body;
  };
  return { element, read };
}

/** Shows a new secret, once. */
async function showSecret(secret) {
  const copy = h('button', { type: 'button', class: 'quiet', onclick: async () => {
    try {
      await navigator.clipboard.writeText(secret);
      notify('Copied.');
    } catch {
      notify('The browser does not allow copying here: select the key and copy it.', true);
    }
  } }, 'Copy');
  const content = h('div', {},
    h('p', {}, 'Copy the key now: it is not shown again.'),
    h('code', { class: 'secret', tabindex: '0' }, secret),
    h('p', {}, copy));
  if (await ask('New key', content, 'Use in playground', { close: 'Close' })) {
    playgroundKey = secret;
    location.hash = '#/playground';
  }
}
