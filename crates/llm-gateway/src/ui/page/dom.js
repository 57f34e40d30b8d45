// Elements, tables and numbers. Texts become text nodes, never markup.

/** An element with properties, attributes, `on…` listeners and children. */
function h(tag, options, ...children) {
  return fill(document.createElement(tag), options, children);
}

/** An element of SVG. */
function svg(tag, options, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), options, children);
}

function fill(element, options, children) {
  for (const [name, value] of Object.entries(options ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== undefined && child !== null && child !== false) element.append(child);
  }
  return element;
}

let lastId = 0;

/** A labelled control. `make` gets the attributes that connect it to its label. */
function field(label, make, hint) {
  const id = `field-${++lastId}`;
  return h('div', {}, h('label', { for: id }, label, hint && h('span', { class: 'dim' }, ` ${hint}`)), make({ id }));
}

/** A table. A column is `{ name, of: row => content, num, wrap }`. */
function table(caption, columns, rows, empty) {
  if (!rows.length) return h('p', { class: 'dim' }, empty ?? 'Nothing yet.');
  const kind = (column) => [column.num && 'num', column.wrap && 'wrap'].filter(Boolean).join(' ') || null;
  const head = columns.map((column) => h('th', { scope: 'col', class: kind(column) }, column.name || h('span', { class: 'dim' }, 'Actions')));
  const body = rows.map((row) => h('tr', {}, columns.map((column) =>
    h('td', { class: kind(column), 'data-label': column.name }, column.of(row)))));
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', { class: 'stack' }, h('caption', {}, caption), h('thead', {}, h('tr', {}, head)), h('tbody', {}, body)));
}

function tag(text, kind) {
  return h('span', { class: `tag ${kind}` }, text);
}

function tile(name, value) {
  return h('div', { class: 'tile' }, h('dt', {}, name), h('dd', {}, value));
}

/** Shows a message for a while. */
function notify(text, isBad) {
  const notice = h('div', { class: isBad ? 'notice bad' : 'notice' }, text);
  document.getElementById('notices').append(notice);
  setTimeout(() => notice.remove(), isBad ? 9000 : 4000);
}

/** Asks in a dialog. Resolves to what `read` returns when the form is sent, or to null. */
function ask(title, content, action, { read, close = 'Cancel', isDangerous } = {}) {
  return new Promise((resolve) => {
    const id = `field-${++lastId}`;
    let result = null;
    const form = h('form', { method: 'dialog', onsubmit: (event) => {
      event.preventDefault();
      try {
        result = read ? read() : true;
      } catch (error) {
        notify(error.message, true);
        return;
      }
      dialog.close();
    } },
    content,
    h('div', { class: 'row' },
      h('button', { class: isDangerous ? 'danger' : null }, action),
      h('button', { type: 'button', class: 'quiet', onclick: () => dialog.close() }, close)));
    const dialog = h('dialog', { 'aria-labelledby': id, onclose: () => {
      dialog.remove();
      resolve(result);
    } }, h('h2', { id }, title), form);
    document.body.append(dialog);
    dialog.showModal();
  });
}

const format = {
  count: (value) => value === null || value === undefined ? '–' : Number(value).toLocaleString('en'),
  money(value) {
    const dollars = Number(value ?? 0);
    if (dollars === 0) return '$0';
    return dollars >= 1 ? `$${dollars.toFixed(2)}` : `$${Number(dollars.toPrecision(3)).toFixed(8).replace(/0+$/, '')}`;
  },
  ms(value) {
    if (value === null || value === undefined) return '–';
    if (value < 10) return `${Number(value).toFixed(2)} ms`;
    return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`;
  },
  share: (value) => value === null || value === undefined ? '–' : `${(value * 100).toFixed(1)} %`,
  time: (millis) => new Date(millis).toLocaleTimeString('en', { hour12: false }),
  dateTime: (millis) => new Date(millis).toLocaleString('en', { hour12: false }),
};
