// In charge of what pages do beyond links and forms: the menu, keys, live forms, boards, toasts.
// Invariant: without it every page still works; nothing is decided here that the server does not decide again.
import { watchForms } from './form.js';
import { watchBoards } from './board.js';

const menu = document.querySelector('[data-menu]');
menu?.addEventListener('click', () => {
  const open = document.querySelector('.side').classList.toggle('open');
  menu.setAttribute('aria-expanded', String(open));
});

document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, textarea, select, [contenteditable]');
  if (event.key === 'Escape' && typing) typing.blur();
  if (typing || event.altKey || event.metaKey) return;
  if (event.key === '/' || (event.ctrlKey && event.key === 'k')) {
    event.preventDefault();
    document.querySelector('[data-search]')?.focus();
    return;
  }
  if (!event.ctrlKey) document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
});

for (const form of document.querySelectorAll('[data-filters]')) {
  form.addEventListener('change', (event) => { if (event.target.matches('select')) form.requestSubmit(); });
  form.addEventListener('submit', () => {
    for (const input of form.elements) if (input.name && !input.value) input.disabled = true;
  });
}

watchForms();
watchBoards();
