// The view "Config": the configuration in force, without secrets.

function config(main) {
  const body = h('div', {});
  main.replaceChildren(h('h1', {}, 'Config'), body);

  const shown = (value) => {
    if (value === null || value === undefined || value === '' || (Array.isArray(value) && !value.length)) return '–';
    if (typeof value === 'boolean') return value ? 'yes' : 'no';
    return Array.isArray(value) ? value.join(', ') : typeof value === 'number' ? format.count(value) : value;
  };

  async function refresh() {
    const found = await api('/ui/config');
    const settings = Object.entries(found.settings);
    const names = found.deployments.length ? Object.keys(found.deployments[0]) : [];
    body.replaceChildren(
      found.warnings.length ? h('section', { class: 'card' }, h('h2', {}, 'Warnings'), h('ul', {}, found.warnings.map((text) => h('li', {}, text)))) : '',
      h('section', { class: 'card' }, h('h2', {}, 'Settings'), table('In force now, without secrets', [
        { name: 'Setting', of: ([name]) => h('code', {}, name) }, { name: 'Value', wrap: true, of: ([, value]) => shown(value) }], settings)),
      h('section', { class: 'card' }, h('h2', {}, 'Deployments'), found.deployments.map((one) => h('details', {},
        h('summary', {}, `${one.model_group}: ${one.id}`),
        table(`Settings of ${one.id}`, [
          { name: 'Setting', of: (name) => h('code', {}, name) }, { name: 'Value', wrap: true, of: (name) => shown(one[name]) }], names)))));
  }
  return { refresh };
}
