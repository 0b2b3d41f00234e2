// In charge of boards: a drag, or Alt with an arrow key, moves the record on the server.
// Invariant: a card stands where the server says the record is; a move that asks for fields opens their form.
import './vendor/sortablejs/sortable.min.js';
import { csrf, toast } from './toast.js';

/** Watches every board. */
function watchBoards() {
  for (const board of document.querySelectorAll('[data-board]')) watch(board);
}

function watch(board) {
  for (const list of board.querySelectorAll('[data-column]')) {
    window.Sortable.create(list, {
      group: 'cards', animation: 120, delay: 150, delayOnTouchOnly: true,
      onEnd: (event) => { if (event.from !== event.to) place(board, event.item, event.from, event.to); },
    });
  }
  board.addEventListener('keydown', (event) => {
    const card = event.target.closest('.card');
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!card || !event.altKey || !step) return;
    event.preventDefault();
    const lists = [...board.querySelectorAll('[data-column]')];
    const from = card.parentElement;
    const to = lists[lists.indexOf(from) + step];
    if (!to) return;
    to.prepend(card);
    card.querySelector('a').focus();
    place(board, card, from, to);
  });
}

async function send(board, card, value) {
  const { entity, group, stage } = board.dataset;
  const url = `/api/v1/records/${entity}/${card.dataset.id}`;
  const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': csrf() };
  return stage === 'true'
    ? fetch(`${url}/move`, { method: 'POST', headers, body: JSON.stringify({ stage: value }) })
    : fetch(url, { method: 'PATCH', headers, body: JSON.stringify({ [group]: value || null }) });
}

async function place(board, card, from, to) {
  const answer = await send(board, card, to.dataset.column).catch(() => null);
  if (answer?.status === 202) {
    from.prepend(card);
    toast(board.dataset.submitted);
    return;
  }
  if (answer?.ok) {
    toast(board.dataset.moved, { label: board.dataset.undo, run: () => { from.prepend(card); place(board, card, to, from); } });
    return;
  }
  from.prepend(card);
  const problem = await answer?.json().catch(() => null);
  const errors = problem?.errors ?? [];
  if (errors.length && errors.every((error) => ['stage_requires', 'required'].includes(error.code))) {
    window.location.href = `/r/${board.dataset.entity}/${card.dataset.id}?move=${encodeURIComponent(to.dataset.column)}#move`;
    return;
  }
  toast(errors.map((error) => error.message).join(' · ') || problem?.detail || board.dataset.failed);
}

watchBoards();
