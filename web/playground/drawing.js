// Drawing over a picture or a video, in the picture's own pixels.
import { $ } from './dom.js';

/** How much a small picture is enlarged at most. */
const ZOOM = 4;

/** Fits a frame of `width` by `height` picture pixels into the drop zone. */
export function fit(frame, width, height) {
  const room = $('drop').clientWidth;
  const scale = Math.min(room / width, Math.max(260, Math.min(innerHeight * 0.68, 640)) / height, ZOOM);
  frame.style.width = `${Math.round(width * scale)}px`;
  frame.style.height = `${Math.round(height * scale)}px`;
}

/**
 * Prepares a canvas over its frame for drawing in picture pixels, of which it shows those from `left` and `top` on;
 * answers the context and the size of one CSS pixel.
 */
export function prepare(canvas, width, height, left = 0, top = 0) {
  const density = Math.min(devicePixelRatio || 1, 3);
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.max(1, Math.round(w * density));
  canvas.height = Math.max(1, Math.round(h * density));
  const context = canvas.getContext('2d');
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  context.translate(-left, -top);
  return [context, width / Math.max(1, w)];
}

/** Strokes the path with a dark edge, to be seen on every picture. Widths are in CSS pixels of the size `px`. */
function strokeOutlined(context, colour, width, edge, px) {
  context.lineCap = context.lineJoin = 'round';
  for (const [style, size] of [
    ['rgb(0 0 0 / 55%)', width + edge],
    [colour, width],
  ]) {
    context.strokeStyle = style;
    context.lineWidth = size * px;
    context.stroke();
  }
}

/** Corner brackets. */
export function brackets(context, { left, top, width, height }, colour, px) {
  const arm = Math.min(width, height) * 0.2;
  context.beginPath();
  for (const [x, y, dx, dy] of [
    [left, top, 1, 1],
    [left + width, top, -1, 1],
    [left + width, top + height, -1, -1],
    [left, top + height, 1, -1],
  ]) {
    context.moveTo(x + dx * arm, y);
    context.lineTo(x, y);
    context.lineTo(x, y + dy * arm);
  }
  strokeOutlined(context, colour, 3.5, 3, px);
}

/** A dashed rectangle. */
export function dashed(context, { left, top, width, height }, colour, px) {
  context.beginPath();
  context.rect(left, top, width, height);
  context.setLineDash([5 * px, 4 * px]);
  strokeOutlined(context, colour, 1.8, 1.7, px);
  context.setLineDash([]);
}

/** An arrow of `length` from a point into a direction. */
export function arrow(context, [x, y], [dx, dy], length, colour, px) {
  const norm = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / norm, dy / norm];
  const [ex, ey] = [x + ux * length, y + uy * length];
  const head = 13 * px;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(ex, ey);
  context.moveTo(ex - head * (ux + uy * 0.75), ey - head * (uy - ux * 0.75));
  context.lineTo(ex, ey);
  context.lineTo(ex - head * (ux - uy * 0.75), ey - head * (uy + ux * 0.75));
  strokeOutlined(context, colour, 5, 4, px);
}

/** A canvas with a source drawn at most `longest` pixels long. */
export function scaledCanvas(source, width, height, longest = Infinity) {
  const scale = Math.min(1, longest / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  canvas.getContext('2d').drawImage(source, 0, 0, canvas.width, canvas.height);
  return canvas;
}

export function jpeg(canvas, quality) {
  return new Promise((resolve, reject) =>
    canvas.toBlob(
      (blob) => (blob ? resolve(blob) : reject(new Error('The browser could not make a picture.'))),
      'image/jpeg',
      quality,
    ),
  );
}
