// The result: the verdict, what to tell the person, and every measured value.
import { $, icon, make, percent, round, sentence, show } from './dom.js';
import { FAULTS, LIVE, STATUSES, WORDS, angle, genderWords, isColourless, livenessWords, ruleWords } from './words.js';

const calm = matchMedia('(prefers-reduced-motion: reduce)');

function verdict(state, mark, title, more, word = '') {
  $('result-empty').hidden = true;
  $('verdict').hidden = false;
  $('verdict').dataset.state = state;
  $('verdict-icon').setAttribute('href', `#i-${mark}`);
  $('verdict-title').textContent = title;
  show($('verdict-more'), more);
  show($('verdict-word'), word);
}

/** What to tell the person in front of the camera, and what the developer. */
function advise(person, developer) {
  $('advice').hidden = !person;
  $('advice-text').textContent = person;
  show($('developer'), developer);
}

let countdown = null;

/** Offers to send again, after `seconds` if the service asked for patience. */
function offerRetry({ retry = false, seconds = 0, smaller = false }) {
  clearInterval(countdown);
  $('retry').hidden = !retry && !smaller;
  $('retry-button').hidden = !retry;
  $('smaller-button').hidden = !smaller;
  let left = seconds;
  const tick = () => {
    $('retry-button').disabled = left > 0;
    $('retry-button').textContent = left > 0 ? `Try again in ${left} s` : 'Try again';
    if (left-- <= 0) clearInterval(countdown);
  };
  tick();
  if (seconds > 0) countdown = setInterval(tick, 1_000);
}

/** Says aloud what came of it. */
function announce(parts) {
  $('announce').textContent = parts.filter(Boolean).map(sentence).join(' ');
  // On a phone the result lies below the picture.
  if (matchMedia('(max-width: 60rem)').matches) {
    $('result').scrollIntoView({ behavior: calm.matches ? 'auto' : 'smooth', block: 'start' });
  }
}

/** While an answer is awaited. */
export function showBusy(busy) {
  $('result').setAttribute('aria-busy', String(busy));
  if (busy) $('announce').textContent = 'Checking the picture…';
}

/** Something other than a judged picture. */
export function showProblem(title, more, { word, tell = '', ...offer } = {}) {
  verdict('fault', 'warn', title, more, word);
  advise(tell, '');
  offerRetry(offer);
  for (const id of ['measures', 'rules-card', 'quality-card']) $(id).hidden = true;
  announce([title, more, tell && `Tell the person: ${tell}`]);
}

/** An answer of the service, or of something in between. */
export function showAnswer(picture) {
  const { status, envelope } = picture.answer;
  if (!envelope) {
    showProblem(
      `Unexpected answer (HTTP ${status})`,
      'This did not come from the service. Is there a proxy in between?',
      { retry: true },
    );
  } else if (envelope.hasError && !(envelope.error in WORDS)) {
    showFault(picture);
  } else {
    showJudgement(picture);
  }
}

/** `INTERNAL_ERROR`: the call did not work. */
function showFault({ answer: { status, envelope, retryAfter }, blob }) {
  const { code = '', message = '' } = envelope.errorDetail ?? {};
  let [title, tell] = FAULTS[code] ?? STATUSES[status] ?? [`The service answered with HTTP ${status}`, ''];
  if (code.startsWith('link_')) [title, tell] = ['The link was not fetched', ''];
  showProblem(title, sentence(message), {
    word: `HTTP ${status} · ${[envelope.error, code].filter(Boolean).join(' · ')}`,
    tell,
    retry: [401, 429, 500, 503].includes(status),
    seconds: retryAfter ?? 0,
    smaller: Boolean(blob) && title === STATUSES[413][0],
  });
}

/** The picture was looked at: it can be used, or one of the FACE words says why not. */
function showJudgement({ answer: { envelope, millis } }) {
  const { face, error, errorDetail, details } = envelope;
  const values = face ?? {
    age: details.age && Math.round(details.age),
    gender:
      details.femaleProbability === undefined ? undefined : Math.round(10_000 * (2 * details.femaleProbability - 1)),
    passiveLivenessScore: details.liveness?.score,
  };
  if (!face) {
    const [title, tell] = WORDS[error];
    verdict('bad', 'fail', title, 'The picture cannot be used.', `${error} · ${errorDetail.code}`);
    advise(tell, sentence(errorDetail.message));
  } else {
    const meeting = meets(details.rules);
    if (isColourless(details)) {
      verdict(
        'caution',
        'warn',
        'Usable, but with too little colour',
        `${meeting} Liveness cannot be judged: the picture is black-and-white, or too dark.`,
      );
    } else if (face.passiveLivenessScore >= LIVE) {
      verdict('good', 'pass', 'Usable: exactly one good face', meeting);
    } else {
      // The score never rejects: the caller decides.
      verdict(
        'caution',
        'warn',
        'Usable, but it may not be a live person',
        `${meeting} The liveness score is under the threshold of ${LIVE}.`,
      );
    }
    advise('', '');
  }
  offerRetry({});
  showCrop(envelope);
  const spoken = [...showPerson(values), ...showLiveness(values.passiveLivenessScore, details)];
  showFacts(details, millis);
  $('person').hidden = values.age === undefined && !face;
  $('anyway').hidden = Boolean(face) || values.passiveLivenessScore === undefined;
  $('measures').hidden = false;
  showRules(details.rules);
  showQuality(details.quality);
  announce([$('verdict-title').textContent, ...(face ? spoken : [`Tell the person: ${WORDS[error][1]}`])]);
}

const warnings = (count) => `${count} ${count === 1 ? 'warning' : 'warnings'}`;

/** How much "usable" says: warnings and rules that were not measured do not reject. */
function meets(rules) {
  const warned = rules.filter((rule) => stateOf(rule) === 'warn').length;
  if (warned) return `The picture meets every rule that rejects, with ${warnings(warned)}.`;
  const unmeasured = rules.some((rule) => stateOf(rule) === 'skip' && rule.rule !== 'max_second_face');
  return unmeasured ? 'The picture meets every rule that was measured.' : 'The picture meets every rule.';
}

/** The address of the cut-out face, wherever the service is configured to send it. */
export const cropSource = ({ face, faceImageBase }) => `data:image/jpeg;base64,${face.faceImageBase ?? faceImageBase}`;

function showCrop(envelope) {
  const { face } = envelope;
  $('crop-figure').hidden = !face;
  if (!face) return;
  $('crop').src = cropSource(envelope);
  $('crop-size').textContent = `${face.rectangle.width} × ${face.rectangle.height}`;
}

/** Age and gender; answers what to say aloud. */
function showPerson({ age, gender }) {
  $('age').textContent = age ?? '–';
  $('balance').hidden = gender === undefined;
  const { word, certainty } = gender === undefined ? { word: '–', certainty: '' } : genderWords(gender);
  $('gender').textContent = word;
  $('gender-certainty').textContent = certainty;
  if (age === undefined || gender === undefined) return [];
  const half = Math.abs(gender) / 200;
  $('balance-fill').style.left = `${gender < 0 ? 50 - half : 50}%`;
  $('balance-fill').style.width = `${half}%`;
  $('balance').setAttribute(
    'aria-label',
    `${round(gender)} on the scale from −10,000, certainly male, to 10,000, certainly female`,
  );
  $('balance').title = `${round(gender)} of −10,000 … 10,000`;
  return [`Age ${age}`, `${word}, ${certainty}`];
}

/** The gauge; answers what to say aloud. */
function showLiveness(score, details) {
  $('live').hidden = score === undefined;
  if (score === undefined) return [];
  const [state, text] = isColourless(details)
    ? ['unknown', 'Cannot be judged: too little colour']
    : score >= LIVE
      ? ['good', 'Looks like a live person']
      : ['bad', 'Looks like a print, a screen or a mask'];
  const turn = Math.PI * (1 - score);
  $('gauge').dataset.state = state;
  $('gauge').setAttribute('aria-valuenow', String(score));
  $('gauge').setAttribute('aria-valuetext', `${score.toFixed(2)}, threshold ${LIVE}: ${text}`);
  $('gauge-value').style.strokeDasharray = `${score * 100} 200`;
  $('gauge-knob').setAttribute('cx', String(110 + 86 * Math.cos(turn)));
  $('gauge-knob').setAttribute('cy', String(112 - 86 * Math.sin(turn)));
  $('gauge-score').textContent = score.toFixed(2);
  $('live-verdict').textContent = text;
  $('live-reliability').textContent = livenessWords(details);
  $('live-networks').replaceChildren(
    ...details.liveness.models.map(({ model, live }) =>
      make('li', '', make('span', '', model), scale(live, 1), percent(live)),
    ),
  );
  return [`Liveness ${score.toFixed(2)}: ${text}`];
}

function showFacts({ image, faces, pose, interpupillaryDistance, timings }, millis) {
  const facts = [['Picture', `${image.width} × ${image.height} ${image.format.toUpperCase()}`]];
  if (image.exifOrientation !== 1) facts.push(['Turned by EXIF', `Orientation ${image.exifOrientation}`]);
  if (image.uprightRotation) facts.push(['Head upright after', `${image.uprightRotation}° clockwise`]);
  facts.push(['Faces', String(faces.length)]);
  if (interpupillaryDistance !== undefined) facts.push(['Between the pupils', `${round(interpupillaryDistance)} px`]);
  if (pose) {
    facts.push(['Turn', angle(pose.yaw, 'to their left', 'to their right')]);
    facts.push(['Tilt', angle(pose.pitch, 'up', 'down')]);
    facts.push(['Lean', angle(pose.roll, 'clockwise', 'anticlockwise')]);
  }
  facts.push(['Analysis', `${round(Object.values(timings).reduce((sum, time) => sum + time, 0))} ms`]);
  facts.push(['Answer after', `${round(millis)} ms`]);
  $('facts').replaceChildren(
    ...facts.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))),
  );
}

/** How a rule came out: the state's style, its icon and its name. */
const STATES = {
  pass: ['pass', 'Passed'],
  fail: ['fail', 'Not met'],
  warn: ['warn', 'Warning'],
  skip: ['skip', 'Not measured'],
  off: ['skip', 'Switched off'],
};

function stateOf({ verdict, action }) {
  if (action === 'off') return 'off';
  if (verdict === 'skipped') return 'skip';
  return verdict === 'fail' && action === 'warn' ? 'warn' : verdict;
}

function showRules(rules) {
  const count = (state) => rules.filter((rule) => stateOf(rule) === state).length;
  const [failed, warned] = [count('fail'), count('warn')];
  $('rules-card').hidden = false;
  $('rules-note').textContent = [
    failed ? `${failed} of ${rules.length} not met; the first one decides` : 'No rule is broken',
    warned ? warnings(warned) : '',
  ]
    .filter(Boolean)
    .join(' · ');
  $('rule-list').replaceChildren(...rules.map(ruleItem));
}

/** A bar filled up to `value` of `span`, with a mark at `limit`. */
function scale(value = 0, span, limit) {
  const part = (amount) => `${Math.max(0, Math.min(1, amount / span)) * 100}%`;
  const bar = make('span', 'scale', make('span', 'scale-fill'));
  bar.setAttribute('aria-hidden', 'true');
  bar.firstChild.style.width = part(value);
  if (limit !== undefined) {
    bar.append(make('span', 'scale-limit'));
    bar.lastChild.style.left = part(limit);
  }
  return bar;
}

function ruleItem(rule, index, rules) {
  let state = stateOf(rule);
  let { name, value, limit } = ruleWords(rule);
  if (
    rule.rule === 'max_second_face' &&
    state === 'skip' &&
    rules.find((each) => each.rule === 'min_faces').measured === 1
  ) {
    // Nothing to measure is the best that can be said.
    [state, value] = ['pass', 'No second face'];
  }
  const bar = scale(rule.measured, rule.threshold > 0 ? 2 * rule.threshold : 30, rule.threshold);
  const item = make(
    'li',
    'rule',
    make('div', 'rule-name', name, make('span', 'rule-word', rule.word)),
    make('div', 'rule-value', value ?? 'Not measured', ' ', make('span', 'rule-limit', `Limit: ${limit}`)),
    bar,
    make('span', 'badge', icon(STATES[state][0]), STATES[state][1]),
  );
  item.dataset.state = state;
  item.dataset.rule = rule.rule;
  return item;
}

function showQuality(quality) {
  const entries = Object.entries(quality ?? {});
  $('quality-card').hidden = entries.length === 0;
  $('quality-list').replaceChildren(
    ...entries.map(([name, { value }]) => {
      const words = name.replaceAll('_', ' ');
      return make(
        'div',
        '',
        make('dt', '', words[0].toUpperCase() + words.slice(1)),
        make('dd', '', String(value)),
        scale(value, 100),
      );
    }),
  );
}
