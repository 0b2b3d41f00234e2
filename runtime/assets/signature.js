// In charge of signing by hand: strokes on a square of 1000 by 1000, sent as numbers.
// Invariant: a typed name signs as well; the drawing is never needed.

const SIDE = 1000;

/** Watches every place to sign. */
function watchSignatures() {
  for (const field of document.querySelectorAll('[data-signature]')) watch(field);
}

function watch(field) {
  const canvas = document.createElement('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', field.dataset.label);
  const clear = document.createElement('button');
  clear.type = 'button';
  clear.className = 'quiet small';
  clear.textContent = field.dataset.clear;
  field.append(canvas, clear);
  const strokes = [];
  const sent = field.querySelector('[name="_signature_strokes"]');
  const box = () => canvas.getBoundingClientRect();
  const scale = () => Math.max(box().width, box().height) / SIDE;
  const draw = () => {
    const size = box();
    [canvas.width, canvas.height] = [size.width * devicePixelRatio, size.height * devicePixelRatio];
    const pen = canvas.getContext('2d');
    const unit = scale() * devicePixelRatio;
    pen.lineWidth = 2.2 * devicePixelRatio;
    pen.lineCap = pen.lineJoin = 'round';
    pen.strokeStyle = getComputedStyle(canvas).color;
    for (const stroke of strokes) {
      pen.beginPath();
      for (let at = 0; at < stroke.length; at += 2) pen.lineTo(stroke[at] * unit, stroke[at + 1] * unit);
      pen.stroke();
    }
    sent.value = strokes.length ? JSON.stringify(strokes) : '';
  };
  const point = (event) => [Math.round((event.clientX - box().left) / scale()), Math.round((event.clientY - box().top) / scale())];
  canvas.addEventListener('pointerdown', (event) => {
    canvas.setPointerCapture(event.pointerId);
    strokes.push(point(event));
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    strokes.at(-1)?.push(...point(event));
    draw();
  });
  clear.addEventListener('click', () => { strokes.length = 0; draw(); });
}

watchSignatures();
