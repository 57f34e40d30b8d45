// The view "Requests": recent calls, and what happened to each.

function requests(main) {
  let onlyFailed = false;
  let open = new Set();
  const list = h('div', {});
  const filter = h('label', { class: 'check' }, h('input', { type: 'checkbox', onchange: (event) => {
    onlyFailed = event.target.checked;
    refresh();
  } }), 'Failed only');
  main.replaceChildren(h('div', { class: 'row between' }, h('h1', {}, 'Requests'), filter), h('section', { class: 'card' }, list));

  async function refresh() {
    const answer = await api(`/ui/requests?limit=200&failed=${onlyFailed}`);
    const active = list.contains(document.activeElement) ? document.activeElement.closest('[data-id]')?.dataset.id : null;
    list.replaceChildren(table('The latest calls, without prompts and replies; they are kept in memory', [
      { name: 'Time', of: (one) => format.time(one.at) },
      { name: 'Status', of: (one) => tag(one.status ?? 'client left', !one.status || one.status >= 500 ? 'bad' : one.status >= 400 || one.error ? 'warn' : 'good') },
      { name: 'Model', wrap: true, of: (one) => one.model || '–' },
      { name: 'Key', wrap: true, of: (one) => one.key ?? '–' },
      { name: 'Duration', num: true, of: (one) => format.ms(one.duration_ms) },
      { name: 'First output', num: true, of: (one) => format.ms(one.first_output_ms) },
      { name: 'Tokens in / out', num: true, of: (one) => `${format.count(one.input_tokens)} / ${format.count(one.output_tokens)}` },
      { name: 'Cost', num: true, of: (one) => format.money(one.cost) },
      { name: 'Details', wrap: true, of: details },
    ], answer.requests, onlyFailed ? 'No failed calls.' : 'No calls yet. Try the playground.'));
    if (active) list.querySelector(`[data-id="${CSS.escape(active)}"] summary`)?.focus();
  }

  function details(one) {
    const count = one.attempts.length + one.more_attempts;
    const summary = one.is_cached ? 'from the cache' : count === 1 ? '1 attempt' : `${count} attempts`;
    const facts = [
      ['Request', one.id], ['Route', one.route], ['Session', one.session],
      ['Time without upstream', format.ms(one.overhead_ms)],
      ['Cached input', one.cached_tokens ? format.count(one.cached_tokens) : null],
      ['Queue', one.is_queued ? 'waited for a deployment' : null], ['Error', one.error],
    ].filter(([, value]) => value);
    return h('details', { 'data-id': one.id, open: open.has(one.id), ontoggle: (event) => {
      if (event.target.open) open.add(one.id);
      else open.delete(one.id);
    } },
    h('summary', {}, summary),
    h('ul', { class: 'attempts' },
      facts.map(([name, value]) => h('li', {}, `${name}: `, h('span', { class: name === 'Error' ? 'bad' : null }, value))),
      one.attempts.map((attempt) => h('li', {},
        `${attempt.deployment}: `, h('span', { class: attempt.outcome === 'failed' ? 'bad' : null }, attempt.outcome),
        ` after ${format.ms(attempt.after_ms)}, took ${format.ms(attempt.duration_ms)}`, attempt.error && `: ${attempt.error}`))));
  }
  return { refresh, every: 4000 };
}
