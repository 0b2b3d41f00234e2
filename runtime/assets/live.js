// In charge of the numbers of approvals that wait and of notices that are unread, as they change.
// Invariant: only a page that is looked at listens: a browser has few connections to one server.

/** Watches how many tasks wait, and how many notices are unread. */
export function watchTasks() {
  const source = document.querySelector('[data-live]');
  if (!source) return;
  let stream;
  const show = (count) => {
    for (const place of document.querySelectorAll('[data-tasks]')) place.textContent = count === '0' ? '' : count;
  };
  const ring = (unread) => {
    const bell = document.querySelector('[data-bell]');
    if (!bell) return;
    bell.querySelector('[data-unread]').textContent = unread > 99 ? '99+' : unread || '';
    bell.setAttribute('aria-label', unread ? bell.dataset.some.replace('{count}', unread) : bell.dataset.none);
  };
  const listen = () => {
    stream?.close();
    stream = undefined;
    if (document.visibilityState !== 'visible') return;
    stream = new EventSource(source.dataset.live);
    stream.addEventListener('tasks', (event) => show(event.data));
    stream.addEventListener('notices', (event) => ring(Number(event.data)));
  };
  document.addEventListener('visibilitychange', listen);
  window.addEventListener('pagehide', () => stream?.close());
  window.addEventListener('pageshow', (event) => { if (event.persisted) listen(); });
  listen();
}
