// In charge of the inbox by keys: from line to line, open, tick, approve, reject; and of how many are ticked.
// Invariant: a decision is a form's; what needs words, input or a signature is opened for them.

import { singleKeys } from './keys.js';

/** Watches the inbox. */
function watchInbox() {
  const form = document.querySelector('[data-inbox]');
  if (!form) return;
  const rows = [...form.querySelectorAll('[data-row]')];
  const link = (row) => row?.querySelector('[data-open]');
  const tick = (row) => row?.querySelector('[data-tick]');
  const here = () => document.activeElement?.closest('[data-row]');
  const count = form.querySelector('[data-ticked]');
  const told = () => {
    const ticked = form.querySelectorAll('[data-tick]:checked').length;
    if (count) count.textContent = ticked ? `(${ticked})` : '';
  };
  form.addEventListener('change', told);
  told();
  document.addEventListener('keydown', (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey || !singleKeys()) return;
    const box = event.target.closest('input, textarea, select');
    if (box && !box.matches('[data-tick]')) return;
    const row = here();
    const at = rows.indexOf(row);
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      link(rows[Math.min(Math.max(at + step, 0), rows.length - 1)])?.focus();
    } else if (event.key === 'x' && tick(row)) {
      event.preventDefault();
      tick(row).click();
    } else if (event.key === 'a' && row) {
      event.preventDefault();
      if (tick(row)) {
        for (const other of form.querySelectorAll('[data-tick]:checked')) other.checked = false;
        tick(row).checked = true;
        form.requestSubmit();
      } else {
        window.location.href = `${link(row).href}?act=approve#decide`;
      }
    } else if (event.key === 'r' && row) {
      event.preventDefault();
      window.location.href = `${link(row).href}?act=reject#decide`;
    }
  });
}

watchInbox();
