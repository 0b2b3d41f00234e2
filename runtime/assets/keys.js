// In charge of single keys: from row to row of a list, the page that lists them, and the switch that turns them off.
// Invariant: nothing is done by a key alone that no button or link does as well.

const SWITCH = 'trellis.keys';

/** Whether single keys do something on this device. */
export function singleKeys() {
  try {
    return localStorage.getItem(SWITCH) !== 'off';
  } catch {
    // A browser that keeps nothing has nothing switched off.
    return true;
  }
}

/** Watches the rows of a list, and the page of keys. */
export function watchKeys() {
  const dialog = document.querySelector('[data-keys-dialog]');
  const open = document.querySelector('[data-keys]');
  if (!dialog || !open) return;
  open.hidden = false;
  open.addEventListener('click', () => {
    open.closest('details').open = false;
    dialog.showModal();
  });
  const on = dialog.querySelector('[data-keys-on]');
  on.checked = singleKeys();
  on.addEventListener('change', () => {
    try {
      localStorage.setItem(SWITCH, on.checked ? 'on' : 'off');
    } catch {
      on.checked = true;
    }
  });
  if (!document.querySelector('[data-inbox]')) watchRows();
}

function watchRows() {
  const rows = [...document.querySelectorAll('[data-row]')];
  const link = (row) => row.querySelector('[data-open], a');
  document.addEventListener('keydown', (event) => {
    const step = { j: 1, k: -1 }[event.key];
    const here = document.activeElement?.closest('[data-row]');
    const tick = event.key === 'x' ? here?.querySelector('[data-tick]') : null;
    if ((!step && !tick) || !rows.length || event.isComposing || event.ctrlKey || event.altKey || event.metaKey || !singleKeys()) return;
    if (event.target.closest('input:not([type=checkbox]), textarea, select, dialog')) return;
    event.preventDefault();
    if (tick) {
      tick.click();
      return;
    }
    const at = rows.indexOf(here);
    link(rows[Math.min(Math.max(at + step, 0), rows.length - 1)])?.focus();
  });
}
