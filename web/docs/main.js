// Shows the service's own OpenAPI document.

/** An element with attributes and children; text stays text. */
function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== ''));
  return element;
}

/** Text with `code` marked as such. */
const prose = (text = '') =>
  text
    .replace(/\s+/g, ' ')
    .split(/`([^`]*)`/)
    .map((part, i) => (i % 2 ? el('code', {}, part) : part));

const paragraphs = (text = '') =>
  text
    .split('\n\n')
    .filter(Boolean)
    .map((part) => el('p', {}, prose(part)));

const nameOf = (ref) => ref.split('/').pop();

/** A schema's type in words, with links to the types it names. */
function typeOf(schema) {
  if (schema.$ref) return [el('a', { href: `#${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  const choice = schema.oneOf ?? schema.anyOf ?? schema.allOf;
  if (choice) return choice.flatMap((one, i) => (i ? [' or ', ...typeOf(one)] : typeOf(one)));
  const types = [schema.type].flat().filter(Boolean);
  if (types.includes('array')) {
    const items = schema.items ? typeOf(schema.items) : ['anything'];
    return ['list of ', ...items];
  }
  if (types.includes('object') && schema.additionalProperties)
    return ['map to ', ...typeOf(schema.additionalProperties)];
  return [types.join(' or ') || 'anything'];
}

/** What a schema demands beside its type. */
function demands(schema) {
  const { minimum, maximum, minLength, maxLength, pattern, contentEncoding, contentMediaType } = schema;
  const span = (least, most, unit) => {
    if (least === undefined && most === undefined) return undefined;
    if (most === undefined) return `at least ${least}${unit}`;
    return least === undefined ? `at most ${most}${unit}` : `${least} to ${most}${unit}`;
  };
  const said = [
    span(minimum, maximum, ''),
    span(minLength, maxLength, ' characters'),
    schema.default !== undefined && `default ${JSON.stringify(schema.default)}`,
    contentEncoding && [contentMediaType, `in ${contentEncoding}`].filter(Boolean).join(' '),
  ].filter(Boolean);
  const shown = said.length ? [el('p', { class: 'rule-of' }, said.join('; '))] : [];
  if (schema.enum)
    shown.push(
      el(
        'p',
        { class: 'rule-of' },
        schema.enum.flatMap((value) => [el('code', {}, String(value)), ' ']),
      ),
    );
  if (pattern) shown.push(el('p', { class: 'rule-of' }, 'pattern ', el('code', {}, pattern)));
  return shown;
}

/** The fields of an object. */
function fields(schema) {
  const required = new Set(schema.required);
  return el(
    'dl',
    { class: 'fields' },
    Object.entries(schema.properties ?? {}).map(([name, field]) => {
      const forms = (field.anyOf ?? []).filter((form) => form.title);
      const type = forms.length ? ['string'] : typeOf(field);
      return el(
        'div',
        { class: 'field' },
        el('dt', {}, name, el('span', { class: 'need' }, required.has(name) ? 'required' : 'optional')),
        el(
          'dd',
          {},
          el('p', { class: 'type' }, type),
          field.description ? el('p', {}, prose(field.description)) : '',
          demands(field),
          forms.length
            ? el(
                'div',
                { class: 'forms' },
                forms.map((form) =>
                  el('div', {}, el('strong', {}, form.title), '. ', prose(form.description), demands(form)),
                ),
              )
            : '',
        ),
      );
    }),
  );
}

/** JSON with its parts marked. */
function highlighted(value) {
  const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  if (typeof value === 'string') return [text];
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|-?\b\d[\d.e+-]*\b|\b(?:true|false|null)\b/gi)) {
    parts.push(text.slice(end, match.index));
    const kind = match[2] ? 'c-key' : match[1] ? 'c-text' : 'c-number';
    parts.push(el('span', { class: kind }, match[1] ?? match[0]), match[2] ?? '');
    end = match.index + match[0].length;
  }
  return [...parts, text.slice(end)].filter(Boolean);
}

/** One example, or a choice of them. */
function examples(content) {
  const all = Object.entries(content.examples ?? {}).map(([name, { summary, value }]) => ({
    name: summary ?? name,
    value,
  }));
  if (content.example !== undefined) all.push({ name: 'Example', value: content.example });
  if (!all.length) return '';
  const code = el('pre', { tabindex: '0' });
  let shown;
  const show = (index) => {
    shown = all[index].value;
    code.replaceChildren(...highlighted(shown));
  };
  const copy = el('button', { type: 'button', class: 'button small' }, 'Copy');
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(typeof shown === 'string' ? shown : JSON.stringify(shown, null, 2));
    copy.textContent = 'Copied';
    setTimeout(() => {
      copy.textContent = 'Copy';
    }, 1500);
  });
  let choice = el('span', { class: 'only' }, all[0].name);
  if (all.length > 1) {
    const select = el(
      'select',
      {},
      all.map(({ name }, index) => el('option', { value: index }, name)),
    );
    select.addEventListener('change', () => show(Number(select.value)));
    choice = el('label', {}, 'Example', select);
  }
  show(0);
  // Copying needs a secure context: on a bare address of another machine there is none.
  return el(
    'div',
    { class: 'example' },
    el('div', { class: 'example-bar' }, choice, navigator.clipboard ? copy : ''),
    code,
  );
}

function answer(status, response, open) {
  const headers = Object.entries(response.headers ?? {});
  const [media, content] = Object.entries(response.content ?? {})[0] ?? [];
  return el(
    'details',
    { class: 'answer', open: open ? '' : undefined },
    el(
      'summary',
      {},
      el('span', { class: 'status', 'data-kind': status[0] }, status),
      el('span', {}, prose(response.description)),
    ),
    el(
      'div',
      { class: 'answer-body' },
      content ? el('p', {}, media, content.schema ? [': ', typeOf(content.schema)] : '') : '',
      headers.map(([name, header]) => el('p', {}, 'Header ', el('code', {}, name), ': ', prose(header.description))),
      content ? examples(content) : '',
    ),
  );
}

function operation(method, path, described) {
  const request = described.requestBody && Object.entries(described.requestBody.content)[0];
  const login = described.security?.length;
  return el(
    'section',
    { class: 'card', id: described.operationId, 'aria-label': described.summary },
    el('h2', {}, el('span', { class: 'method' }, method.toUpperCase()), el('span', { class: 'path' }, path)),
    el('p', {}, prose(described.summary), '. ', login ? 'Needs HTTP Basic authentication.' : ''),
    request
      ? [el('h3', {}, 'Request'), el('p', {}, request[0], ': ', typeOf(request[1].schema)), examples(request[1])]
      : '',
    el('h3', {}, 'Answers'),
    el(
      'div',
      { class: 'answers' },
      Object.entries(described.responses).map(([status, response], i) => answer(status, response, i === 0)),
    ),
  );
}

function schema(name, described) {
  return el(
    'section',
    { class: 'card', id: name, 'aria-label': name },
    el('h2', {}, name),
    paragraphs(described.description),
    described.properties
      ? fields(described)
      : [el('p', { class: 'type' }, typeOf(described)), demands(described)].flat(),
  );
}

function page(api) {
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, described]) => ({ method, path, described })),
  );
  // The call itself first, then what operators ask.
  operations.sort((a, b) => (b.described.requestBody ? 1 : 0) - (a.described.requestBody ? 1 : 0));
  const schemas = Object.entries(api.components.schemas);
  const first = ['DetectRequest', 'Success', 'Failure'];
  schemas.sort(([a], [b]) => (first.indexOf(a) + 1 || 9) - (first.indexOf(b) + 1 || 9));
  const links = (title, entries) =>
    el(
      'div',
      {},
      el('h2', {}, title),
      entries.map(([id, text]) => el('a', { href: `#${id}` }, text)),
    );
  document.getElementById('contents').append(
    links(
      'Calls',
      operations.map(({ path, described }) => [described.operationId, path]),
    ),
    links(
      'Types',
      schemas.map(([name]) => [name, name]),
    ),
  );
  document
    .getElementById('main')
    .replaceChildren(
      el(
        'div',
        { class: 'intro' },
        el('h1', {}, `${api.info.title} API ${api.info.version}`),
        paragraphs(api.info.description),
      ),
      ...operations.map(({ method, path, described }) => operation(method, path, described)),
      ...schemas.map(([name, described]) => schema(name, described)),
    );
}

try {
  const response = await fetch('openapi.json');
  if (!response.ok) throw new Error(`status ${response.status}`);
  page(await response.json());
  // What the address asks for exists only now.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
} catch (error) {
  document.getElementById('state').textContent = `The document cannot be shown: ${error.message}.`;
} finally {
  document.getElementById('main').removeAttribute('aria-busy');
}
