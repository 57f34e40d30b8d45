// Login, navigation, and the refreshing of the current view.

const VIEWS = [['overview', 'Overview', overview], ['requests', 'Requests', requests], ['keys', 'Keys', keys],
  ['spend', 'Spend', spend], ['playground', 'Playground', playground], ['config', 'Config', config]];

let current = null;
let timer = null;

/** Shows the view of the address, or the login. */
async function show() {
  clearTimeout(timer);
  current?.leave?.();
  current = null;
  const main = document.getElementById('main');
  const nav = document.getElementById('nav');
  const isOut = state.needsLogin && !state.token;
  document.getElementById('logout').hidden = !state.token;
  nav.hidden = isOut;
  if (isOut) {
    login(main);
    return;
  }
  const name = location.hash.replace(/^#\//, '');
  const [id, title, view] = VIEWS.find(([id]) => id === name) ?? VIEWS[0];
  nav.replaceChildren(...VIEWS.map(([other, text]) => h('a', { href: `#/${other}`, 'aria-current': other === id && 'page' }, text)));
  document.title = `${title} · polyllm`;
  const mine = view(main);
  current = mine;
  await update(mine);
}

async function update(view) {
  try {
    if (!document.hidden) await view.refresh();
  } catch (error) {
    if (error.status !== 401) notify(error.message, true);
  }
  if (view === current && view.every) timer = setTimeout(() => update(view), view.every);
}

function login(main) {
  document.title = 'Log in · polyllm';
  const key = h('input', { type: 'password', autocomplete: 'current-password', required: true });
  const error = h('p', { class: 'bad', role: 'alert' });
  const button = h('button', {}, 'Log in');
  main.replaceChildren(h('form', { class: 'card login', onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const answer = await api('/ui/login', { body: { key: key.value } });
      state.token = answer.token;
      show();
    } catch (failure) {
      error.textContent = failure.message;
      key.select();
    }
    button.disabled = false;
  } },
  h('h1', {}, 'Log in'),
  h('p', { class: 'dim' }, 'With the master key of the gateway (general_settings.master_key).'),
  field('Master key', ({ id }) => fill(key, { id }, [])),
  error, button));
  key.focus();
}

function nextTheme() {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const now = document.documentElement.dataset.theme ?? (dark ? 'dark' : 'light');
  setTheme(now === 'dark' ? 'light' : 'dark');
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem('polyllm-theme', theme);
  } catch { /* not allowed here */ }
}

async function start() {
  try {
    const theme = localStorage.getItem('polyllm-theme');
    if (theme === 'dark' || theme === 'light') setTheme(theme);
  } catch { /* not allowed here */ }
  document.getElementById('theme').addEventListener('click', nextTheme);
  document.getElementById('logout').addEventListener('click', async () => {
    try {
      await api('/ui/logout', { method: 'POST' });
    } catch { /* the session had ended */ }
    state.token = null;
    show();
  });
  window.addEventListener('hashchange', show);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  });
  try {
    await session();
  } catch (error) {
    notify(error.message, true);
  }
  show();
}

start();
