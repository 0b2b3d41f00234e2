// In charge of what pages do beyond links and forms: the menu, keys, popups, live forms, pickers, boards, calendars, the inbox, toasts.
// Invariant: without it every page still works; nothing is decided here that the server does not decide again.
import { watchBoards } from './board.js';
import { watchCalendars } from './calendar.js';
import { watchForms } from './form.js';
import { watchInbox } from './inbox.js';
import { watchTasks } from './live.js';
import { watchPickers } from './picker.js';
import { watchSignatures } from './signature.js';
import { watchToast } from './toast.js';

const menu = document.querySelector('[data-menu]');
menu?.addEventListener('click', () => {
  const open = document.querySelector('.side').classList.toggle('open');
  menu.setAttribute('aria-expanded', String(open));
});

const popups = () => document.querySelectorAll('details[data-popup][open]');

document.addEventListener('keydown', (event) => {
  if (event.isComposing) return;
  const typing = event.target.closest('input, textarea, select, [contenteditable]');
  if (event.key === 'Escape') {
    for (const popup of popups()) {
      popup.open = false;
      popup.querySelector('summary').focus();
    }
  }
  if (event.key === 'Escape' && typing) typing.blur();
  if (typing || event.altKey || event.metaKey) return;
  if (event.key === '/' || (event.ctrlKey && event.key === 'k')) {
    event.preventDefault();
    document.querySelector('[data-search]')?.focus();
    return;
  }
  if (!event.ctrlKey) document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
});

document.addEventListener('click', (event) => {
  for (const popup of popups()) if (!popup.contains(event.target)) popup.open = false;
});

document.addEventListener('toggle', (event) => {
  const popup = event.target;
  if (!popup.open || !popup.matches('[data-popup]')) return;
  // A popup that would leave the window opens the other way.
  const box = popup.querySelector('.popup');
  box.classList.remove('end');
  if (box.getBoundingClientRect().right > document.documentElement.clientWidth - 4) box.classList.add('end');
  popup.querySelector('.popup input:not([type=hidden]), .popup textarea')?.focus();
}, true);

document.querySelector('[data-tick-all]')?.addEventListener('change', (event) => {
  for (const tick of document.querySelectorAll('[data-tick]')) tick.checked = event.target.checked;
});

for (const form of document.querySelectorAll('[data-filters]')) {
  form.addEventListener('change', (event) => { if (event.target.matches('select, [data-id], [type=date]')) form.requestSubmit(); });
  form.addEventListener('submit', () => {
    for (const input of form.elements) if (input.name && !input.value) input.disabled = true;
  });
}
// What was disabled for the address is wanted again when the page comes back from the browser's memory.
window.addEventListener('pageshow', () => {
  for (const input of document.querySelectorAll('[data-filters] :disabled')) input.disabled = false;
});
document.querySelector('[data-focus]')?.focus();

for (const input of document.querySelectorAll('[data-upload]')) {
  input.addEventListener('change', () => { if (input.files.length) input.form.requestSubmit(); });
}
for (const input of document.querySelectorAll('[data-link]')) {
  // A server that was told no address of its own is known by the one that was used to come here.
  if (input.value.startsWith('/')) input.value = window.location.origin + input.value;
}

for (const button of document.querySelectorAll('[data-print]')) {
  button.hidden = false;
  button.addEventListener('click', () => window.print());
}
// Of many inputs for people, one that is empty is enough.
for (const many of document.querySelectorAll('[data-many], #act .grid')) {
  const fields = [...many.querySelectorAll('.field:has([data-picker])')].filter((field) => field.dataset.field.includes('.'));
  const show = () => {
    const filled = (field) => field && field.querySelector('[data-id]').value !== '';
    fields.forEach((field, index) => { field.hidden = index > 0 && !filled(field) && !filled(fields[index - 1]); });
  };
  many.addEventListener('change', show);
  show();
}

watchToast();
watchPickers();
watchForms();
watchBoards();
watchCalendars();
watchInbox();
watchSignatures();
watchTasks();
