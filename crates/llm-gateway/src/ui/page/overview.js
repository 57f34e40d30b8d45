// The view "Overview": what the gateway is doing now, and what it did today.

const RANGES = [[15, '15 minutes'], [60, '1 hour'], [360, '6 hours'], [1440, '24 hours']];

function overview(main) {
  let minutes = 60;
  const data = h('div', {});
  const health = h('div', { 'aria-live': 'polite' });
  const range = h('select', { 'aria-label': 'Time range', onchange: (event) => {
    minutes = Number(event.target.value);
    refresh();
  } }, RANGES.map(([value, name]) => h('option', { value, selected: value === minutes }, `Last ${name}`)));
  const check = h('button', { type: 'button', class: 'quiet', onclick: async () => {
    check.disabled = true;
    try {
      const found = await api('/health');
      const bad = found.unhealthy_endpoints.map((one) => h('li', {}, h('span', { class: 'bad' }, one.model_id), `: ${one.error}`));
      health.replaceChildren(h('p', {}, `${found.healthy_count} upstreams answer, ${found.unhealthy_count} do not.`), bad.length ? h('ul', {}, bad) : '');
    } catch (error) {
      notify(error.message, true);
    }
    check.disabled = false;
  } }, 'Check upstreams');
  main.replaceChildren(h('div', { class: 'row between' }, h('h1', {}, 'Overview'), h('div', { class: 'row inline' }, range, check)), health, data);

  async function refresh() {
    const [status, activity] = await Promise.all([api('/ui/status'), api(`/ui/activity?minutes=${minutes}`)]);
    state.hasMasterKey = status.has_master_key;
    const points = activity.points;
    const sum = (name) => points.reduce((total, point) => total + point[name], 0);
    const requests = sum('requests');
    const input = sum('input_tokens');
    data.replaceChildren(
      ...notes(status),
      h('dl', { class: 'tiles' },
        tile('Calls', format.count(requests)),
        tile('Failed', requests ? format.share(sum('failed') / requests) : '–'),
        tile('Running now', format.count(status.deployments.reduce((total, one) => total + one.in_flight, 0))),
        tile('Cost', format.money(sum('cost'))),
        tile('Tokens in / out', `${format.count(input)} / ${format.count(sum('output_tokens'))}`),
        tile('Cached input', input ? format.share(sum('cached_tokens') / input) : '–'),
        tile('Database', status.database ?? 'none')),
      h('div', { class: 'charts' },
        chart('Calls', points, [
          { name: 'ok', kind: 'a', bars: true, of: (point) => point.requests - point.failed },
          { name: 'failed', kind: 'bad', bars: true, of: (point) => point.failed }], format.count),
        chart('Duration', points, [
          { name: 'p50', kind: 'a', of: (point) => point.p50_ms },
          { name: 'p95', kind: 'b', of: (point) => point.p95_ms },
          { name: 'first output p50', kind: 'c', of: (point) => point.first_output_p50_ms }], format.ms),
        chart('Cost', points, [{ name: 'US dollars', kind: 'a', bars: true, of: (point) => point.cost }], format.money),
        chart('Tokens', points, [
          { name: 'input', kind: 'a', bars: true, of: (point) => point.input_tokens },
          { name: 'output', kind: 'c', bars: true, of: (point) => point.output_tokens }], format.count)),
      h('section', { class: 'card' }, h('h2', {}, 'Deployments'), deployments(status.deployments)),
      h('p', { class: 'dim' }, `polyllm ${status.version}, up since ${format.dateTime(status.started_at * 1000)}. Calls since then are counted in memory.`));
  }
  return { refresh, every: 5000 };
}

/** What is missing or unusual. */
function notes(status) {
  const all = [];
  if (status.simulated) all.push('The upstreams are simulated: every reply is made up.');
  if (!status.has_master_key) all.push('There is no master key: everyone who reaches the gateway can use it, and keys cannot be managed. Set general_settings.master_key in the config.');
  if (!status.database) all.push('There is no database: keys and spend are not available. Set general_settings.master_key, and general_settings.database_url for a database other than polyllm.db beside the config.');
  if (status.database === 'unavailable') all.push('The database does not answer. Known keys work, and usage records wait.');
  return all.length ? [h('section', { class: 'card', 'aria-label': 'Notes' }, all.map((text) => h('p', {}, text)))] : [];
}

function deployments(rows) {
  return table('As the router sees them now', [
    { name: 'Deployment', wrap: true, of: (one) => one.id },
    { name: 'Model', wrap: true, of: (one) => one.model_group },
    { name: 'State', of: (one) => one.cooldown
      ? tag(`cooling down: ${one.cooldown.cause}, ${Math.ceil(one.cooldown.seconds_left)} s`, 'bad')
      : tag('healthy', 'good') },
    { name: 'Running', num: true, of: (one) => format.count(one.in_flight) },
    { name: 'Attempts', num: true, of: (one) => format.count(one.calls) },
    { name: 'Failed', num: true, of: (one) => format.count(one.failures) },
    { name: 'Latency', num: true, of: (one) => format.ms(one.latency_ms) },
    { name: 'Cached', num: true, of: (one) => format.share(one.cached_share) },
    { name: 'Requests left', num: true, of: (one) => format.count(one.requests_left) },
  ], rows);
}
