// The view "Spend": what calls cost, by key, model, session and others.

const GROUPS = [['api_key', 'Key'], ['model_group', 'Model'], ['session', 'Session'], ['deployment', 'Deployment'], ['provider', 'Provider'], ['day', 'Day']];
const PERIODS = [[1, 'Today'], [7, '7 days'], [30, '30 days'], [365, 'A year']];

function spend(main) {
  let group = 'api_key';
  let days = 30;
  const body = h('div', {});
  const choice = (label, values, current, set) => h('select', { 'aria-label': label, onchange: (event) => {
    set(event.target.value);
    refresh();
  } }, values.map(([value, name]) => h('option', { value, selected: String(value) === String(current) }, name)));
  main.replaceChildren(
    h('div', { class: 'row between' }, h('h1', {}, 'Spend'),
      h('div', { class: 'row inline' },
        choice('Group by', GROUPS.map(([value, name]) => [value, `By ${name.toLowerCase()}`]), group, (value) => { group = value; }),
        choice('Period', PERIODS, days, (value) => { days = Number(value); }))),
    h('section', { class: 'card' }, body));

  async function refresh() {
    const day = (ago) => new Date(Date.now() - ago * 864e5).toISOString().slice(0, 10);
    let rows;
    try {
      rows = await api(`/global/spend/report?group_by=${group}&start_date=${day(days - 1)}&end_date=${day(0)}`);
      if (group === 'api_key') rows = await byKey(rows);
    } catch (error) {
      body.replaceChildren(h('p', {}, missing(error)));
      return;
    }
    rows = rows.map((row) => ({
      name: row[group] || '(none)', cost: Number(row.cost ?? row.total_cost ?? 0), requests: row.requests,
      input: row.input_tokens ?? row.total_input_tokens, output: row.output_tokens ?? row.total_output_tokens, cached: row.cached_tokens,
    }));
    if (group !== 'day') rows.sort((a, b) => b.cost - a.cost);
    const total = rows.reduce((sum, row) => sum + row.cost, 0);
    const name = GROUPS.find(([value]) => value === group)[1];
    const columns = [
      { name, wrap: true, of: (row) => row.name },
      { name: 'Cost', num: true, of: (row) => format.money(row.cost) },
      { name: 'Share', num: true, of: (row) => total ? format.share(row.cost / total) : '–' },
      { name: 'Requests', num: true, of: (row) => format.count(row.requests) },
      { name: 'Input tokens', num: true, of: (row) => format.count(row.input) },
      { name: 'Cached', num: true, of: (row) => row.input && row.cached !== undefined ? format.share(row.cached / row.input) : '–' },
      { name: 'Output tokens', num: true, of: (row) => format.count(row.output) },
    ];
    const shown = group === 'api_key' ? columns.filter((column) => !['Requests', 'Cached'].includes(column.name)) : columns;
    body.replaceChildren(h('p', {}, `Total: ${format.money(total)}`), table(`Spend by ${name.toLowerCase()}`, shown, rows, 'No calls in this period.'));
  }

  /** Replaces the ids of keys by their names. A deleted key has none. */
  async function byKey(rows) {
    const known = await api('/spend/keys?size=1000');
    const names = new Map(known.map((key) => [key.key_id, key.key_alias ?? key.key_name]));
    return rows.map((row) => ({ ...row, api_key: row.api_key ? names.get(row.api_key) ?? `${row.api_key} (deleted)` : 'master key' }));
  }
  return { refresh };
}
