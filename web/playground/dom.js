// What every part of the page uses: elements, numbers and sentences.

export const $ = (id) => document.getElementById(id);

/** Creates an element; `content` is text or child nodes. */
export function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** An icon of the sprite in index.html. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Writes a text into an element, which is hidden while it has none. */
export function show(element, text) {
  element.hidden = !text;
  element.textContent = text ?? '';
}

const number = new Intl.NumberFormat('en');
export const round = (value, digits = 0) => number.format(Number(value.toFixed(digits)));
export const percent = (value, digits = 0) => `${round(value * 100, digits)} %`;

/** With a capital and a full stop. */
export const sentence = (text) =>
  text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}` : '';

export const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));
