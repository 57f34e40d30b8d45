// Charts over time in SVG, with their values as text.

/**
 * A chart of `points`, which have `at` in seconds. A series is `{ name, kind, of: point => value, bars }`;
 * bars are stacked. `show` formats a value.
 */
function chart(title, points, series, show) {
  const width = 600;
  const height = 130;
  const bars = series.filter((one) => one.bars);
  const lines = series.filter((one) => !one.bars);
  const sums = points.map((point) => bars.reduce((sum, one) => sum + (one.of(point) ?? 0), 0));
  const values = lines.flatMap((one) => points.map((point) => one.of(point) ?? 0));
  const most = Math.max(0, ...sums, ...values);
  const step = width / Math.max(1, points.length);
  const y = (value) => height - (most ? (value / most) * (height - 6) : 0);
  const shapes = [];
  points.forEach((point, at) => {
    let below = 0;
    for (const one of bars) {
      const value = one.of(point) ?? 0;
      if (!value) continue;
      const top = y(below + value);
      shapes.push(svg('rect', { class: `bar ${one.kind}`, x: at * step + step * 0.1, width: step * 0.8, y: top, height: Math.max(1, y(below) - top) }));
      below += value;
    }
  });
  for (const one of lines) {
    let path = '';
    let isOpen = false;
    points.forEach((point, at) => {
      const value = one.of(point);
      if (value === null || value === undefined) {
        isOpen = false;
        return;
      }
      const x = at * step + step / 2;
      // A point alone is a short line.
      path += isOpen ? ` L${x} ${y(value)}` : ` M${x - step * 0.4} ${y(value)} H${x + step * 0.4} M${x} ${y(value)}`;
      isOpen = true;
    });
    if (path) shapes.push(svg('path', { class: `line ${one.kind}`, d: path.trim() }));
  }
  const legend = h('span', { class: 'legend' });
  const last = [...points].reverse().find((point) => series.some((one) => one.of(point)));
  const describe = (point) => {
    legend.replaceChildren(
      point ? format.time(point.at * 1000) : 'no calls',
      ...series.flatMap((one) => [h('span', { class: `swatch fill-${one.kind}` }), `${one.name} ${point ? show(one.of(point)) : '–'}`]));
  };
  describe(last);
  const plot = svg('svg', { class: 'plot', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img',
    'aria-label': `${title}: at most ${show(most)}; ${legend.textContent}` }, shapes);
  plot.addEventListener('pointermove', (event) => {
    const box = plot.getBoundingClientRect();
    const at = Math.floor(((event.clientX - box.left) / box.width) * points.length);
    describe(points[Math.min(points.length - 1, Math.max(0, at))]);
  });
  plot.addEventListener('pointerleave', () => describe(last));
  const clock = (point) => point ? new Date(point.at * 1000).toLocaleTimeString('en', { hour12: false, hour: '2-digit', minute: '2-digit' }) : '';
  return h('figure', { class: 'card' },
    h('figcaption', {}, h('h2', {}, title), legend),
    plot,
    h('div', { class: 'axis' }, h('span', {}, clock(points[0])), h('span', {}, `max ${show(most)}`), h('span', {}, clock(points.at(-1)))));
}
