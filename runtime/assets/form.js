// In charge of forms while a person types: shows, hides, requires and computes as the server says.
// Invariant: a late answer never overwrites a newer one.

/** Watches every form with conditions. */
function watchForms() {
  for (const form of document.querySelectorAll('[data-form]')) watch(form);
}

function watch(form) {
  let turn = 0;
  let timer;
  const ask = async () => {
    const mine = ++turn;
    const answer = await fetch(form.dataset.state, { method: 'POST', body: new URLSearchParams(new FormData(form)) }).catch(() => null);
    if (!answer?.ok || mine !== turn) return;
    const state = await answer.json();
    for (const [name, status] of Object.entries(state.fields)) show(form, name, status);
    alike(form, state.alike);
    state.sections.forEach((visible, index) => {
      const section = form.querySelector(`[data-section="${index}"]`);
      if (section) section.hidden = !visible;
    });
  };
  // Nobody loses what was entered by a slip.
  let changed = form.querySelector('[aria-invalid]') !== null;
  form.addEventListener('input', () => { changed = true; });
  form.addEventListener('submit', () => { changed = false; });
  window.addEventListener('beforeunload', (event) => { if (changed) event.preventDefault(); });
  form.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(ask, 250); });
  form.addEventListener('change', () => { clearTimeout(timer); ask(); });
}

/** Shows what may be there already; what the server refused stays in sight until something else is found. */
function alike(form, records) {
  const box = form.querySelector('[data-alike]');
  if (!box || (records.length === 0 && box.getAttribute('role') === 'alert')) return;
  box.hidden = records.length === 0;
  box.querySelector('ul').replaceChildren(...records.map((record) => {
    const link = Object.assign(document.createElement('a'), { href: record.url, target: '_blank', rel: 'noopener', textContent: record.title });
    const item = document.createElement('li');
    item.append(link);
    return item;
  }));
}

function show(form, name, status) {
  const field = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
  if (!field) return;
  field.hidden = !status.visible;
  field.querySelector('.required').hidden = !status.required;
  const output = field.querySelector('output');
  if (output && !field.querySelector('select')) output.textContent = status.text;
}

watchForms();
