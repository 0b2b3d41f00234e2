// In charge of calendars: a drag, or Alt with an arrow key, moves a record to another day on the server.
// Invariant: an entry stands on the day that the server says; what was refused goes back and says why.
import './vendor/sortablejs/sortable.min.js';
import { csrf, toast } from './toast.js';

const DAY = 86_400_000;

/** Watches every calendar. */
function watchCalendars() {
  for (const calendar of document.querySelectorAll('[data-calendar]')) watch(calendar);
}

/** Keeps weeks from shrinking while an entry is carried over them, so that the day under the hand stays there. */
function hold(calendar, on) {
  for (const week of calendar.tBodies[0].rows) week.style.height = on ? `${week.getBoundingClientRect().height}px` : '';
}

function watch(calendar) {
  for (const list of calendar.querySelectorAll('[data-day]')) {
    window.Sortable.create(list, {
      group: 'days', sort: false, animation: 120, delay: 180, delayOnTouchOnly: true, draggable: '[data-id]',
      onStart: () => hold(calendar, true),
      onEnd: (event) => {
        hold(calendar, false);
        if (event.from !== event.to) place(calendar, event.item, event.from, event.to);
      },
    });
  }
  calendar.addEventListener('keydown', (event) => {
    const entry = event.target.closest('[data-id]');
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 }[event.key];
    if (!entry || !event.altKey || !step) return;
    event.preventDefault();
    const from = entry.parentElement;
    const day = new Date(Date.parse(`${from.dataset.day}T00:00Z`) + step * DAY).toISOString().slice(0, 10);
    const to = calendar.querySelector(`[data-day="${day}"]`);
    if (!to) return;
    to.append(entry);
    entry.querySelector('a').focus();
    place(calendar, entry, from, to);
  });
}

async function place(calendar, entry, from, to) {
  const body = new URLSearchParams({ day: to.dataset.day });
  const answer = await fetch(calendar.dataset.place + entry.dataset.id, { method: 'POST', body, headers: { 'X-CSRF-Token': csrf() } }).catch(() => null);
  if (answer?.ok) {
    toast(`${calendar.dataset.moved}: ${to.dataset.day}`, { label: calendar.dataset.undo, run: () => { from.append(entry); place(calendar, entry, to, from); } });
    return;
  }
  from.append(entry);
  const problem = await answer?.json().catch(() => null);
  toast(problem?.detail);
}

watchCalendars();
