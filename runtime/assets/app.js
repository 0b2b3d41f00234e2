// In charge of what all pages do beyond links and forms: the menu, keys, popups, pickers, toasts. Boards, calendars, forms and the inbox bring their own.
// Invariant: without it every page still works; nothing is decided here that the server does not decide again.
import { singleKeys, watchKeys } from './keys.js';
import { watchTasks } from './live.js';
import { watchPickers } from './picker.js';
import { watchToast } from './toast.js';

const menu = document.querySelector('[data-menu]');
const side = document.querySelector('.side');
function openMenu(open) {
  side.classList.toggle('open', open);
  menu.setAttribute('aria-expanded', String(open));
}
menu?.addEventListener('click', () => {
  openMenu(!side.classList.contains('open'));
  if (side.classList.contains('open')) side.querySelector('a')?.focus();
});

const popups = () => document.querySelectorAll('details[data-popup][open]');

document.addEventListener('keydown', (event) => {
  if (event.isComposing) return;
  const typing = event.target.closest('input:not([type=checkbox]), textarea, select, [contenteditable]');
  if (event.key === 'Escape') {
    if (side?.classList.contains('open')) {
      openMenu(false);
      menu.focus();
    }
    for (const popup of popups()) {
      popup.open = false;
      popup.querySelector('summary').focus();
    }
  }
  if (event.key === 'Escape' && typing) typing.blur();
  if ((event.ctrlKey || event.metaKey) && event.key === 'Enter' && typing?.form) {
    // What stands nearest to the words is what they are sent by.
    event.preventDefault();
    (typing.closest('.popup') ?? typing.form).querySelector('button[type=submit]')?.click();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
    event.preventDefault();
    document.querySelector('[data-search]')?.focus();
    return;
  }
  if (typing || event.altKey || event.metaKey || event.ctrlKey || document.querySelector('dialog[open]') || !singleKeys()) return;
  if (event.key === '/') {
    event.preventDefault();
    document.querySelector('[data-search]')?.focus();
  } else if (event.key === '?') {
    document.querySelector('[data-keys]')?.click();
  } else {
    document.querySelector(`[data-key="${CSS.escape(event.key)}"]`)?.click();
  }
});

// A form that is on its way is not sent once more.
document.addEventListener('submit', (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== 'post') return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = 'true';
  event.submitter?.setAttribute('aria-busy', 'true');
  // An answer that is no page leaves this one standing.
  setTimeout(() => again(form), 4000);
});

function again(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll('[aria-busy]')) button.removeAttribute('aria-busy');
}

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

const ticks = [...document.querySelectorAll('table [data-tick]')];
const all = document.querySelector('[data-tick-all]');
let last;
function ticked() {
  const count = ticks.filter((tick) => tick.checked).length;
  const place = document.querySelector('.many [data-ticked]');
  if (place) place.textContent = count ? `(${count})` : '';
  if (all) [all.checked, all.indeterminate] = [count > 0 && count === ticks.length, count > 0 && count < ticks.length];
}
all?.addEventListener('change', () => {
  for (const tick of ticks) tick.checked = all.checked;
  ticked();
});
for (const tick of ticks) {
  tick.addEventListener('click', (event) => {
    // With Shift all between the last one and this one.
    const [from, to] = [ticks.indexOf(last), ticks.indexOf(tick)].sort((a, b) => a - b);
    if (event.shiftKey && from >= 0) for (const between of ticks.slice(from, to + 1)) between.checked = tick.checked;
    last = tick;
    ticked();
  });
}
ticked();

for (const form of document.querySelectorAll('[data-filters]')) {
  form.addEventListener('change', (event) => { if (event.target.matches('select, [data-id], [type=date]')) form.requestSubmit(); });
  form.addEventListener('submit', () => {
    for (const input of form.elements) if (input.name && !input.value) input.disabled = true;
  });
}
// What was disabled for the address is wanted again when the page comes back from the browser's memory.
window.addEventListener('pageshow', () => {
  for (const input of document.querySelectorAll('[data-filters] :disabled')) input.disabled = false;
  for (const form of document.querySelectorAll('[data-sent]')) again(form);
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
  many.dataset.watched = 'true';
  show();
}

watchToast();
watchPickers();
watchKeys();
watchTasks();
