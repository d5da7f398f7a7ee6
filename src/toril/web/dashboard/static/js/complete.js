// Completion in the box of a search: fields, states, names and places in payloads. It knows the
// words of the grammar from the page, and asks the interface for names and payloads of newest jobs,
// once, when somebody begins to type.

const api = document.documentElement.dataset.api;
let box = null;
let list = null;
let at = -1;
let learning = null;
const known = { names: new Set(), paths: new Map() };

/** What is known of a queue's jobs, read once; several who ask at once wait for the same. */
function learn(queue) {
  learning ??= read(queue);
  return learning;
}

async function read(queue) {
  if (!queue) return known;
  const base = `${api}/queues/${encodeURIComponent(queue)}/jobs`;
  try {
    const found = await (await fetch(`${base}?limit=200&newest_first=true&fields=id,name`)).json();
    for (const job of found.items) known.names.add(job.name);
    const samples = await Promise.all(found.items.slice(0, 6).map((job) => fetch(`${base}/${encodeURIComponent(job.id)}/data`)));
    for (const answer of samples) if (answer.ok) walk((await answer.json()).value, "data", 0);
  } catch {
    // Without them, the words of the grammar are offered all the same.
  }
  return known;
}

function walk(value, path, depth) {
  if (depth > 4 || known.paths.size > 200 || value === null || typeof value !== "object") return;
  const entries = Array.isArray(value) ? value.slice(0, 1).map((each) => [null, each]) : Object.entries(value).slice(0, 50);
  for (const [key, each] of entries) {
    const step = key === null ? path : `${path}.${/^[^\s".:~<>,()*]+$/.test(key) ? key : JSON.stringify(key)}`;
    if (each !== null && typeof each === "object") walk(each, step, depth + 1);
    else if (key !== null) known.paths.set(step, String(each).slice(0, 60));
  }
}

/** The word under the cursor: its text, and where it begins and ends. */
function word() {
  const text = box.value;
  const end = box.selectionStart ?? text.length;
  let start = end;
  let quoted = false;
  for (let place = 0; place < end; place += 1) if (text[place] === '"') quoted = !quoted;
  if (quoted) return null;
  while (start > 0 && !/\s/.test(text[start - 1])) start -= 1;
  return { start, end, text: text.slice(start, end) };
}

const quote = (value) => (/^[^\s"*,()]+$/.test(value) ? value : JSON.stringify(value));

async function offers() {
  const here = word();
  if (!here) return [];
  const { fields, states, queue } = JSON.parse(box.dataset.complete);
  const sign = here.text.startsWith("-") ? "-" : "";
  const typed = here.text.slice(sign.length);
  const [, field, operator, value] = /^([a-z]+(?:\.[^\s:~<>]+)?)(:|~|>=|<=|>|<)(.*)$/.exec(typed) ?? [];
  const begins = (text, start) => text.toLowerCase().startsWith(start.toLowerCase());
  if (operator) {
    const before = `${sign}${field}${operator}`;
    const last = value.split(",").pop();
    const head = before + value.slice(0, value.length - last.length);
    let values = [];
    if (field === "state") values = states.map((each) => [each, ""]);
    else if (field === "name") values = [...(await learn(queue)).names].map((each) => [each, ""]);
    else if (field === "since" || field === "until") values = ["10m", "1h", "24h", "7d"].map((each) => [each, ""]);
    else if ((await learn(queue)).paths.has(field)) values = [[known.paths.get(field), ""]];
    return values.filter(([each]) => begins(each, last) && each !== last).map(([each, meaning]) => [head + quote(each), meaning, " "]);
  }
  if (begins(typed, "data.") || begins("data", typed)) await learn(queue);
  const found = fields.filter((each) => begins(each.name, typed)).map((each) => [sign + each.name + each.operators[0], each.meaning, ""]);
  const paths = typed.startsWith("data") || typed.length > 1
    ? [...(known.paths)].filter(([path]) => begins(path, typed) || (typed.length > 1 && path.split(".").some((step) => begins(step, typed)))).map(([path, example]) => [`${sign}${path}:`, example, ""]) : [];
  return [...(typed.startsWith("data.") ? [] : found), ...paths];
}

async function show() {
  const asked = box.value;
  const found = (await offers()).slice(0, 20);
  if (box.value !== asked || document.activeElement !== box) return;
  hide();
  if (!found.length) return;
  list = document.createElement("ul");
  list.className = "suggest";
  list.id = "find-suggest";
  list.role = "listbox";
  found.forEach(([text, meaning, after], place) => {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `find-suggest-${place}`;
    item.dataset.text = text + after;
    const code = document.createElement("code");
    code.textContent = text;
    const span = document.createElement("span");
    span.textContent = meaning;
    item.append(code, span);
    list.append(item);
  });
  box.form.append(list);
  box.setAttribute("aria-expanded", "true");
  at = -1;
}

function hide() {
  list?.remove();
  list = null;
  box?.setAttribute("aria-expanded", "false");
  box?.removeAttribute("aria-activedescendant");
}

function mark(step) {
  const items = [...list.children];
  items[at]?.removeAttribute("aria-selected");
  at = (at + step + items.length + (at < 0 && step < 0 ? 1 : 0)) % items.length;
  items[at].setAttribute("aria-selected", "true");
  items[at].scrollIntoView({ block: "nearest" });
  box.setAttribute("aria-activedescendant", items[at].id);
}

function take(item) {
  const here = word();
  const { text } = item.dataset;
  box.setRangeText(text, here.start, here.end, "end");
  hide();
  box.focus();
  if (!text.endsWith(" ")) show();
}

function begin(input) {
  if (box === input) return;
  box = input;
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", "find-suggest"], ["aria-expanded", "false"]]) box.setAttribute(name, value);
}

document.addEventListener("input", (event) => {
  if (!event.target.matches("[data-complete]")) return;
  begin(event.target);
  show();
});
document.addEventListener("focusin", (event) => { if (event.target.matches("[data-complete]")) begin(event.target); });
document.addEventListener("focusout", () => setTimeout(() => { if (list && document.activeElement !== box) hide(); }, 100));
document.addEventListener("mousedown", (event) => {
  const item = event.target.closest(".suggest li");
  if (item) {
    event.preventDefault();
    take(item);
  }
});
document.addEventListener("keydown", (event) => {
  if (!event.target.matches?.("[data-complete]")) return;
  begin(event.target);
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list) mark(event.key === "ArrowDown" ? 1 : -1);
    else show();
  } else if (list && (event.key === "Enter" || event.key === "Tab") && at >= 0) {
    event.preventDefault();
    take(list.children[at]);
  } else if (event.key === "Escape" && list) {
    event.preventDefault();
    hide();
  }
});
