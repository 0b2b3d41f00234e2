// In charge of the number of approvals that wait, as it changes.
// Invariant: only a page that is looked at listens: a browser has few connections to one server.

/** Watches how many tasks wait. */
export function watchTasks() {
  const source = document.querySelector('[data-live]');
  if (!source) return;
  let stream;
  const show = (count) => {
    for (const place of document.querySelectorAll('[data-tasks]')) place.textContent = count === '0' ? '' : count;
  };
  const listen = () => {
    stream?.close();
    stream = undefined;
    if (document.visibilityState !== 'visible') return;
    stream = new EventSource(source.dataset.live);
    stream.addEventListener('tasks', (event) => show(event.data));
  };
  document.addEventListener('visibilitychange', listen);
  window.addEventListener('pagehide', () => stream?.close());
  window.addEventListener('pageshow', (event) => { if (event.persisted) listen(); });
  listen();
}
