// In charge of the line that says what just happened, with a way to take it back.
// Invariant: it stays while somebody is at it, with a pointer or the keyboard.

const LASTS = 8000;
let timer;

const box = () => document.querySelector('[data-toast]');

function hideLater() {
  clearTimeout(timer);
  timer = setTimeout(() => { box().hidden = true; }, LASTS);
}

/** Lets go of what the server said once it was read, and keeps the address clean of it. */
export function watchToast() {
  const toast = box();
  if (!toast) return;
  for (const stay of ['pointerenter', 'focusin']) toast.addEventListener(stay, () => clearTimeout(timer));
  for (const leave of ['pointerleave', 'focusout']) toast.addEventListener(leave, hideLater);
  document.addEventListener('keydown', (event) => {
    if (event.key === 'F6' && !toast.hidden) {
      event.preventDefault();
      toast.querySelector('button')?.focus();
    }
  });
  const address = new URL(window.location.href);
  if (!toast.hidden && address.searchParams.has('done')) {
    for (const name of ['done', 'id', 'from']) address.searchParams.delete(name);
    window.history.replaceState(window.history.state, '', address);
  }
  if (!toast.hidden) hideLater();
}

/** Shows `text`; `action` is `{label, run}`. */
export function toast(text, action) {
  const toast = box();
  const words = document.createElement('span');
  words.textContent = text || toast.dataset.failed;
  toast.replaceChildren(words);
  if (action) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.label;
    button.addEventListener('click', () => { toast.hidden = true; action.run(); });
    toast.append(button);
  }
  toast.hidden = false;
  hideLater();
}

/** The word by which the server knows that one of its own pages asks. */
export const csrf = () => document.querySelector('meta[name="csrf-token"]').content;
