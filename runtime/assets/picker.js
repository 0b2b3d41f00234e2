// In charge of choosing a record: a search as one types, by keyboard, pointer or touch.
// Invariant: the server says what may be chosen; what was not chosen from its list is never sent as a choice.
import { csrf } from './toast.js';

const WAIT = 180;
let count = 0;

/** Watches every picker. */
export function watchPickers() {
  for (const picker of document.querySelectorAll('[data-picker]')) new Picker(picker);
}

class Picker {
  constructor(box) {
    this.box = box;
    this.id = box.querySelector('[data-id]');
    this.text = box.querySelector('[data-text]');
    this.clear = box.querySelector('[data-clear]');
    this.chosen = this.text.value;
    this.turn = 0;
    this.active = -1;
    // With a script the id alone is sent.
    box.querySelector('[data-before]').remove();
    this.text.removeAttribute('name');
    this.list = document.createElement('ul');
    this.list.id = `choices-${count += 1}`;
    this.list.className = 'choices';
    this.list.role = 'listbox';
    this.list.hidden = true;
    this.list.setAttribute('aria-label', this.text.labels?.[0]?.textContent ?? this.text.getAttribute('aria-label') ?? '');
    box.append(this.list);
    for (const [name, value] of Object.entries({ role: 'combobox', 'aria-autocomplete': 'list', 'aria-expanded': 'false', 'aria-controls': this.list.id })) this.text.setAttribute(name, value);
    this.text.addEventListener('input', (event) => { event.stopPropagation(); if (!event.isComposing) this.soon(); });
    this.text.addEventListener('compositionend', () => this.soon());
    this.text.addEventListener('change', (event) => event.stopPropagation());
    this.text.addEventListener('click', () => this.search(''));
    this.text.addEventListener('keydown', (event) => this.key(event));
    this.text.addEventListener('blur', () => this.leave());
    // A press on the list must not take the focus away before it is a click.
    this.list.addEventListener('pointerdown', (event) => event.preventDefault());
    this.list.addEventListener('mousedown', (event) => event.preventDefault());
    this.list.addEventListener('click', (event) => {
      const item = event.target.closest('[role=option]');
      if (item) this.choose(item);
    });
    this.clear.addEventListener('click', () => { this.set('', ''); this.text.focus(); });
    this.shown();
  }

  shown() { this.clear.hidden = !this.id.value; }

  soon() {
    // What was asked before is answered for other words.
    this.forget();
    this.pending = true;
    this.timer = setTimeout(() => this.search(this.text.value), WAIT);
  }

  async search(words) {
    const mine = this.turn += 1;
    const form = this.text.form;
    const body = new URLSearchParams(form?.method === 'post' && !form.enctype.startsWith('multipart') ? new FormData(form) : undefined);
    body.set('_q', words.trim());
    const answer = await fetch(this.box.dataset.url, { method: 'POST', body, headers: { 'X-CSRF-Token': csrf() } }).catch(() => null);
    if (mine !== this.turn || document.activeElement !== this.text) return;
    const takes = this.takes;
    this.pending = this.takes = false;
    if (!answer?.ok) return;
    const { items, more } = await answer.json();
    this.list.replaceChildren(...items.map((item, index) => {
      const option = document.createElement('li');
      option.role = 'option';
      option.id = `${this.list.id}-${index}`;
      option.dataset.value = item.id;
      option.textContent = item.title || '—';
      option.setAttribute('aria-selected', String(item.id === this.id.value));
      return option;
    }));
    if (!items.length || more) {
      const note = document.createElement('li');
      note.className = 'hint';
      note.role = 'option';
      note.setAttribute('aria-disabled', 'true');
      note.textContent = items.length ? this.box.dataset.more : this.box.dataset.none;
      this.list.append(note);
    }
    this.open(true);
    this.mark(items.length && words.trim() ? 0 : -1);
    if (takes && items.length) this.choose(this.options()[0]);
  }

  open(open) {
    this.list.hidden = !open;
    this.text.setAttribute('aria-expanded', String(open));
    if (!open) this.mark(-1);
  }

  options() { return [...this.list.querySelectorAll('[role=option]:not([aria-disabled])')]; }

  mark(index) {
    this.active = index;
    this.options().forEach((option, at) => option.classList.toggle('active', at === index));
    const option = this.options()[index];
    if (option) {
      this.text.setAttribute('aria-activedescendant', option.id);
      option.scrollIntoView({ block: 'nearest' });
    } else {
      this.text.removeAttribute('aria-activedescendant');
    }
  }

  key(event) {
    if (event.isComposing) return;
    const options = this.options();
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && !event.altKey) {
      event.preventDefault();
      if (this.list.hidden) this.search(this.text.value === this.chosen ? '' : this.text.value);
      else if (options.length) this.mark((this.active + step + options.length) % options.length);
    } else if (event.key === 'Enter' && this.pending) {
      // The list is still on its way: its first record is meant, and nothing half-typed is sent.
      event.preventDefault();
      this.takes = true;
    } else if (event.key === 'Enter' && !this.list.hidden) {
      event.preventDefault();
      if (options[this.active]) this.choose(options[this.active]);
    } else if (event.key === 'Escape' && !this.list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      this.text.value = this.chosen;
      this.open(false);
    }
  }

  choose(option) {
    this.set(option.dataset.value, option.textContent);
    this.open(false);
  }

  /** Lets go of a search that is on its way. */
  forget() {
    clearTimeout(this.timer);
    this.turn += 1;
    this.pending = this.takes = false;
  }

  set(id, title) {
    this.forget();
    const changed = this.id.value !== id;
    this.id.value = id;
    this.chosen = this.text.value = title;
    this.shown();
    if (changed) this.id.dispatchEvent(new Event('change', { bubbles: true }));
  }

  leave() {
    this.forget();
    this.open(false);
    if (!this.text.value.trim()) this.set('', '');
    else this.text.value = this.chosen;
  }
}
