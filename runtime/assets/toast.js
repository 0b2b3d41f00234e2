// In charge of the line that says what just happened, with a way to take it back.

let timer;

/** Shows `text`; `action` is `{label, run}`. */
export function toast(text, action) {
  const box = document.querySelector('.toast');
  box.replaceChildren(document.createTextNode(text));
  if (action) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action.label;
    button.addEventListener('click', () => { box.hidden = true; action.run(); });
    box.append(button);
  }
  box.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => { box.hidden = true; }, 8000);
}
