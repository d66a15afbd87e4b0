// The call as code: programs to copy, and the request and the response as JSON.
import { $, make, pause, round } from './dom.js';
import { ENDPOINT } from './service.js';

let tab = 'curl';
/** The picture whose call is shown; null before the first. */
let picture = null;

/** The same value with long texts and long lists of points shortened. */
function shorten(value) {
  if (typeof value === 'string')
    return value.length > 120 && !/\s/.test(value.slice(0, 120))
      ? `${value.slice(0, 48)}… (${round(value.length)} characters)`
      : value;
  if (Array.isArray(value)) {
    const short = value.length > 20 ? [...value.slice(0, 2), `… ${value.length - 2} more`] : value;
    return short.map(shorten);
  }
  if (value && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shorten(each)]));
  return value;
}

/** Writes JSON into `out` with spans for colours; lists of numbers stay on one line. */
function paint(value, out, indent = '') {
  const deeper = `${indent}  `;
  const simple = (each) => typeof each !== 'object' || each === null;
  if (Array.isArray(value)) {
    if (value.length === 0 || (value.every(simple) && value.length <= 4)) {
      out.append('[');
      value.forEach((each, index) => {
        if (index) out.append(', ');
        paint(each, out);
      });
      out.append(']');
      return;
    }
    out.append('[\n');
    value.forEach((each, index) => {
      out.append(deeper);
      paint(each, out, deeper);
      out.append(index < value.length - 1 ? ',\n' : '\n');
    });
    out.append(`${indent}]`);
  } else if (value && typeof value === 'object') {
    const entries = Object.entries(value);
    if (entries.length === 0) {
      out.append('{}');
      return;
    }
    out.append('{\n');
    entries.forEach(([key, each], index) => {
      out.append(deeper, make('span', 'c-key', JSON.stringify(key)), ': ');
      paint(each, out, deeper);
      out.append(index < entries.length - 1 ? ',\n' : '\n');
    });
    out.append(`${indent}}`);
  } else {
    out.append(make('span', typeof value === 'string' ? 'c-text' : 'c-number', JSON.stringify(value)));
  }
}

/** Programs that send what was just sent, with placeholders for the credentials. */
function snippets({ name = 'portrait.jpg', link }) {
  const file = /^\w[\w.-]*$/.test(name) ? name : 'portrait.jpg';
  const text = (value) => JSON.stringify(value);
  const curl = link
    ? `curl -sS -u 'USER:PASSWORD' \\
  -H 'Content-Type: application/json' \\
  --data-binary @- ${ENDPOINT} <<'EOF'
{"sessionId": "demo-1", "returnFaceImage": true, "returnDetails": true,
 "faceImageBase": ${text(link)}}
EOF`
    : `curl -sS -u 'USER:PASSWORD' \\
  -H 'Content-Type: application/json' \\
  --data-binary @- ${ENDPOINT} <<EOF
{"sessionId": "demo-1", "returnFaceImage": true, "returnDetails": true,
 "faceImageBase": "$(base64 < ${file} | tr -d '\\n')"}
EOF`;
  const python = `import base64, json, urllib.request, uuid

${
  link
    ? `picture = ${text(link)}`
    : `with open("${file}", "rb") as file:
    picture = base64.b64encode(file.read()).decode()`
}

request = urllib.request.Request(
    "${ENDPOINT}",
    data=json.dumps({
        "sessionId": str(uuid.uuid4()),
        "faceImageBase": picture,
        "returnFaceImage": True,
        "returnDetails": True,
    }).encode(),
    headers={
        "Content-Type": "application/json",
        "Authorization": "Basic " + base64.b64encode("USER:PASSWORD".encode()).decode(),
    },
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)

if answer["hasError"]:
    print("ask for another picture:", answer["error"])
elif answer["face"]["passiveLivenessScore"] < 0.5:
    print("this may be no live person")
else:
    print("age", answer["face"]["age"])`;
  const javascript = `// Node.js 20 or newer; keep the password on your server.
${link ? '' : 'import { readFile } from "node:fs/promises";\n'}
const response = await fetch("${ENDPOINT}", {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    Authorization: "Basic " + Buffer.from("USER:PASSWORD").toString("base64"),
  },
  body: JSON.stringify({
    sessionId: crypto.randomUUID(),
    faceImageBase: ${link ? text(link) : `await readFile("${file}", "base64")`},
    returnFaceImage: true,
    returnDetails: true,
  }),
});
const answer = await response.json();

if (answer.hasError) {
  console.log("ask for another picture:", answer.error);
} else if (answer.face.passiveLivenessScore < 0.5) {
  console.log("this may be no live person");
} else {
  console.log("age", answer.face.age);
}`;
  return { curl, python, javascript };
}

const ABOUT = {
  curl: 'In a shell. Put in your user name and password.',
  python: 'Standard library only. Put in your user name and password.',
  javascript: 'For Node.js 20 or newer. Put in your user name and password.',
  request: 'Long texts are shortened here, copied whole.',
  response: 'Long texts and lists are shortened here, copied whole.',
};

/** What the selected tab copies. */
function copyable() {
  if (tab === 'request') return picture?.request ? JSON.stringify(picture.request, null, 2) : '';
  if (tab === 'response') return picture?.answer?.text ?? '';
  return snippets({ name: picture?.name, link: picture?.inline ? null : picture?.link })[tab];
}

/** Shows the call for a picture, on the selected tab or another one. */
export function showCall(next, select = tab) {
  picture = next;
  tab = select;
  render();
}

function render() {
  for (const button of document.querySelectorAll('[role="tab"]')) {
    const selected = button.dataset.tab === tab;
    button.setAttribute('aria-selected', String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  $('code-panel').setAttribute('aria-labelledby', `tab-${tab}`);
  const out = document.createDocumentFragment();
  let about = ABOUT[tab];
  if (tab === 'request' || tab === 'response') {
    const value = tab === 'request' ? picture?.request : picture?.answer?.envelope;
    if (value) {
      paint(shorten(value), out);
    } else {
      out.append(tab === 'request' ? 'No picture was sent yet.' : picture?.answer?.text || 'No answer yet.');
      about = '';
    }
    if (tab === 'response' && picture?.answer) about = `HTTP ${picture.answer.status} · ${about}`;
  } else {
    out.append(copyable());
  }
  $('code').replaceChildren(out);
  $('code').scrollTop = 0;
  $('code-about').textContent = about;
  $('copy').disabled = !copyable();
}

/** Pages without a secure context have no clipboard interface. */
async function copy(text) {
  if (navigator.clipboard && isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = make('textarea', 'sr');
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  $('copy').focus();
  if (!done) throw new Error('not copied');
}

$('copy').addEventListener('click', async () => {
  let said = 'Copied';
  try {
    await copy(copyable());
  } catch {
    said = 'Could not copy';
  }
  $('copy-text').textContent = said;
  $('copied').textContent = said;
  await pause(1_800);
  $('copy-text').textContent = 'Copy';
  $('copied').textContent = '';
});

const tabs = [...document.querySelectorAll('[role="tab"]')];
for (const button of tabs) {
  button.addEventListener('click', () => {
    tab = button.dataset.tab;
    render();
  });
  button.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    let next = null;
    if (step) next = tabs[(tabs.indexOf(button) + step + tabs.length) % tabs.length];
    if (event.key === 'Home') next = tabs[0];
    if (event.key === 'End') next = tabs.at(-1);
    if (!next) return;
    event.preventDefault();
    tab = next.dataset.tab;
    render();
    next.focus();
  });
}
